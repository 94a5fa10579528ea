import { useState } from 'preact/hooks'
import { call } from '../api.ts'
import { Card, Empty, Field, Page, Shown, Trouble } from '../components.tsx'
import { ago } from '../format.ts'
import { useAsked } from '../hooks.ts'

const SCOPES = ['read', 'write', 'admin'] as const

export function Keys() {
  const keys = useAsked((signal) => call('get', '/api/v1/keys', { signal }), null)
  const tenants = useAsked((signal) => call('get', '/api/v1/tenants', { signal }), null)
  const [made, setMade] = useState<string | null>(null)
  const [error, setError] = useState<Error | null>(null)
  const act = async (action: () => Promise<{ key?: string }>): Promise<void> => {
    setError(null)
    try {
      const { key = null } = await action()
      setMade(key)
      keys.refresh()
    } catch (reason) {
      setError(reason as Error)
    }
  }
  return (
    <Page title="Tenants and keys" lead="Who may call this gateway.">
      {error !== null && <Trouble error={error} />}
      {made !== null && (
        <p class="made" role="status">
          The new key, shown this once: <code>{made}</code>
        </p>
      )}
      <div class="columns">
        <Card title="New key">
          <NewKey
            tenants={tenants.value?.tenants.map(({ name }) => name) ?? []}
            onMake={(body) => void act(() => call('post', '/api/v1/keys', { body }))}
          />
        </Card>
        <Card title="Tenants">
          <Shown asked={tenants}>
            {({ tenants: all }) =>
              all.length === 0 ? (
                <Empty>No tenants file is given: every tenant has weight 1 and no cap.</Empty>
              ) : (
                <div class="scroll" tabIndex={0} role="region" aria-label="Tenants">
                  <table>
                    <thead>
                      <tr>
                        <th>Tenant</th>
                        <th class="number">Weight</th>
                        <th class="number">Cap</th>
                        <th class="number">Burst</th>
                        <th>Checkpoints</th>
                      </tr>
                    </thead>
                    <tbody>
                      {all.map(({ name, terms }) => (
                        <tr key={name}>
                          <td>{name}</td>
                          <td class="number">{terms.weight}</td>
                          <td class="number">{terms.cap ?? 'none'}</td>
                          <td class="number">{terms.burst}</td>
                          <td>{terms.checkpoints?.join(', ') ?? 'all'}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )
            }
          </Shown>
        </Card>
      </div>
      <Card title="Keys">
        <Shown asked={keys}>
          {({ keys: all }) =>
            all.length === 0 ? (
              <Empty>There is none yet.</Empty>
            ) : (
              <div class="scroll" tabIndex={0} role="region" aria-label="Keys">
                <table>
                  <thead>
                    <tr>
                      <th>Name</th>
                      <th>Tenant</th>
                      <th>Scopes</th>
                      <th>Id</th>
                      <th>Made</th>
                      <th>Ends</th>
                      <th>
                        <span class="hidden">Actions</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {all.map(({ id, name, tenant, scopes, createdAt, expiresAt }) => {
                      const hasEnded = expiresAt !== null && Date.parse(expiresAt) <= Date.now()
                      return (
                        <tr key={id} class={hasEnded ? 'ended' : ''}>
                          <td>{name}</td>
                          <td>{tenant}</td>
                          <td>{scopes.join(', ')}</td>
                          <td>
                            <code>{id}</code>
                          </td>
                          <td>{ago(createdAt)}</td>
                          <td>
                            {hasEnded
                              ? 'has ended'
                              : expiresAt === null
                                ? 'never'
                                : new Date(expiresAt).toLocaleString()}
                          </td>
                          <td class="row-actions">
                            {!hasEnded && (
                              <>
                                <button
                                  type="button"
                                  onClick={() =>
                                    void act(() =>
                                      call('post', '/api/v1/keys/{id}/rotate', { params: { id }, body: {} }),
                                    )
                                  }
                                >
                                  Rotate
                                </button>
                                <button
                                  type="button"
                                  class="danger"
                                  onClick={() =>
                                    void act(async () => {
                                      await call('delete', '/api/v1/keys/{id}', { params: { id } })
                                      return {}
                                    })
                                  }
                                >
                                  Revoke
                                </button>
                              </>
                            )}
                          </td>
                        </tr>
                      )
                    })}
                  </tbody>
                </table>
              </div>
            )
          }
        </Shown>
      </Card>
    </Page>
  )
}

interface NewKeyRequest {
  readonly name: string
  readonly tenant: string
  readonly scopes: ('read' | 'write' | 'admin')[]
}

function NewKey(props: { tenants: readonly string[]; onMake: (request: NewKeyRequest) => void }) {
  const [name, setName] = useState('')
  const [tenant, setTenant] = useState(props.tenants[0] ?? 'default')
  const [scopes, setScopes] = useState<NewKeyRequest['scopes']>(['read', 'write'])
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault()
        props.onMake({ name, tenant, scopes })
      }}
    >
      <Field label="Name" hint="what it is for">
        <input required maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </Field>
      <Field label="Tenant">
        <input required list="tenants" value={tenant} onInput={(event) => setTenant(event.currentTarget.value)} />
      </Field>
      <datalist id="tenants">
        {props.tenants.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      <fieldset class="chips">
        <legend>Scopes</legend>
        {SCOPES.map((scope) => (
          <label key={scope}>
            <input
              type="checkbox"
              checked={scopes.includes(scope)}
              onChange={(event) =>
                setScopes(event.currentTarget.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))
              }
            />
            <span>{scope}</span>
          </label>
        ))}
      </fieldset>
      <button type="submit" class="primary" disabled={scopes.length === 0}>
        Make key
      </button>
    </form>
  )
}
