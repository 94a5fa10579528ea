import { expect, test } from 'vitest'
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
