import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hubSettings } from './hub-settings.ts'

const HOME = { HOME: '/home/me' }

test('the cache is where huggingface_hub has it', () => {
  const cacheDir = (environment: Record<string, string>): string =>
    hubSettings({}, { ...HOME, ...environment }).cacheDir
  expect(cacheDir({})).toBe('/home/me/.cache/huggingface/hub')
  expect(cacheDir({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub')
  expect(cacheDir({ HF_HOME: '/h', XDG_CACHE_HOME: '/x' })).toBe('/h/hub')
  expect(cacheDir({ HF_HUB_CACHE: '~/c', HF_HOME: '/h' })).toBe('/home/me/c')
  expect(hubSettings({ cacheDir: '/mine' }, { HF_HUB_CACHE: '/c' }).cacheDir).toBe('/mine')
})

test('the hub, the token and being offline come from the command first, then from the variables', () => {
  expect(hubSettings({}, HOME)).toMatchObject({ endpoint: 'https://huggingface.co', token: null, isOffline: false })
  const environment = { HF_ENDPOINT: 'http://mirror/hf/', HF_TOKEN: ' t\n', HF_HUB_OFFLINE: 'Yes' }
  expect(hubSettings({}, environment)).toMatchObject({ endpoint: 'http://mirror/hf', token: 't', isOffline: true })
  expect(hubSettings({ endpoint: 'http://other', token: 'u' }, environment)).toMatchObject({
    endpoint: 'http://other',
    token: 'u',
  })
  expect(hubSettings({}, { HF_HUB_OFFLINE: '0' }).isOffline).toBe(false)
})

test('a token that was saved by hf auth login is taken where none is given', () => {
  const home = mkdtempSync(path.join(os.tmpdir(), 'darkroom-home-'))
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const environment = { HOME: home }
  expect(hubSettings({}, environment).token).toBeNull()
  mkdirSync(path.join(home, '.cache/huggingface'), { recursive: true })
  writeFileSync(path.join(home, '.cache/huggingface/token'), 'saved\n')
  writeFileSync(path.join(home, 'elsewhere'), 'other')
  expect(hubSettings({}, environment).token).toBe('saved')
  expect(hubSettings({}, { ...environment, HF_TOKEN_PATH: '~/elsewhere' }).token).toBe('other')
  expect(hubSettings({}, { ...environment, HF_TOKEN: 'given' }).token).toBe('given')
  expect(hubSettings({ token: 'said' }, environment).token).toBe('said')
  writeFileSync(path.join(home, 'elsewhere'), 'two words')
  expect(messageOf(() => hubSettings({}, { ...environment, HF_TOKEN_PATH: '~/elsewhere' }))).toMatch(
    /elsewhere holds characters/,
  )
})

test('an endpoint that is no address and a token that can be none are refused, and the token is not shown', () => {
  expect(() => hubSettings({ endpoint: 'huggingface.co' }, {})).toThrow(/no address of a hub/)
  expect(messageOf(() => hubSettings({ endpoint: 'http://me:secret@hub' }, {}))).not.toContain('secret')
  const message = messageOf(() => hubSettings({ token: 'abc\ndef' }, {}))
  expect(message).toMatch(/--token or HF_TOKEN holds characters/)
  expect(message).not.toMatch(/abc|def/)
})

function messageOf(act: () => unknown): string {
  try {
    act()
    return ''
  } catch (reason) {
    return (reason as Error).message
  }
}
