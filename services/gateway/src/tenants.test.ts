import type { Logger } from '@darkroom/chassis'
import { expect, test, vi } from 'vitest'
import { GatewayEvents } from './events.ts'
import { unknownTenants } from './tenants.ts'

test('only the tenant that exists today is known; the others are warned of by name', () => {
  expect(unknownTenants(['default'])).toEqual([])
  expect(unknownTenants(['acme', 'default', 'Default'])).toEqual(['acme', 'Default'])
  const warn = vi.fn()
  new GatewayEvents({ warn } as unknown as Logger).tenantsUnknown('SOME_VARIABLE', ['acme'])
  expect(warn).toHaveBeenCalledWith(
    { variable: 'SOME_VARIABLE', tenants: ['acme'] },
    expect.stringMatching('"default"'),
  )
})
