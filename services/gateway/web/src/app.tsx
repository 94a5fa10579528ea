import { useEffect, useState } from 'preact/hooks'
import { ApiError, apiKey, call } from './api.ts'
import { Icon, Page } from './components.tsx'
import { useAsked, useRoute } from './hooks.ts'
import icon from './icon.svg'
import { BatchScreen } from './screens/batch.tsx'
import { Batches } from './screens/batches.tsx'
import { Checkpoints } from './screens/checkpoints.tsx'
import { Keys } from './screens/keys.tsx'
import { Lab } from './screens/lab.tsx'
import { Ledger } from './screens/ledger.tsx'
import { Overview } from './screens/overview.tsx'
import { Playground } from './screens/playground.tsx'
import { Workers } from './screens/workers.tsx'

const SCREENS = [
  { path: '', label: 'Overview', icon: 'overview', isAdmin: false },
  { path: 'batches', label: 'Batches', icon: 'batches', isAdmin: false },
  { path: 'playground', label: 'Playground', icon: 'play', isAdmin: false },
  { path: 'lab', label: 'Scheduler lab', icon: 'lab', isAdmin: false },
  { path: 'workers', label: 'Workers', icon: 'workers', isAdmin: true },
  { path: 'checkpoints', label: 'Checkpoints', icon: 'checkpoints', isAdmin: false },
  { path: 'ledger', label: 'Ledger', icon: 'ledger', isAdmin: false },
  { path: 'keys', label: 'Keys', icon: 'keys', isAdmin: true },
] as const

export function App() {
  const { path, query } = useRoute()
  const [signedIn, setSignedIn] = useState(0)
  const me = useAsked((signal) => call('get', '/api/v1/me', { signal }), null, String(signedIn))
  const [screen = '', id] = path
  useEffect(() => {
    document.querySelector<HTMLElement>('#main')?.focus({ preventScroll: true })
  }, [screen, id])

  const isUnknown = me.error instanceof ApiError && me.error.status === 401
  if (isUnknown) return <SignIn hadKey={apiKey.get() !== null} onKey={() => setSignedIn((n) => n + 1)} />
  const isAdmin = me.value?.scopes.includes('admin') ?? false
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <nav aria-label="Screens">
        <a class="brand" href="#/">
          <img src={icon} alt="" width="26" height="26" /> Darkroom
        </a>
        <ul>
          {SCREENS.filter((one) => isAdmin || !one.isAdmin).map((one) => (
            <li key={one.path}>
              <a href={`#/${one.path}`} aria-current={one.path === screen ? 'page' : undefined}>
                <Icon name={one.icon} />
                <span>{one.label}</span>
              </a>
            </li>
          ))}
        </ul>
        <div class="nav-foot">
          {me.value !== null && (
            <p class="quiet">
              {me.value.isOpen ? 'open to all who reach it' : `${me.value.tenant} · ${me.value.subject}`}
            </p>
          )}
          <ThemeButton />
          {apiKey.get() !== null && (
            <button
              type="button"
              class="plain"
              onClick={() => {
                apiKey.forget()
                setSignedIn((n) => n + 1)
              }}
            >
              Sign out
            </button>
          )}
        </div>
      </nav>
      {screen === '' && <Overview isAdmin={isAdmin} />}
      {screen === 'batches' && id === undefined && <Batches />}
      {screen === 'batches' && id !== undefined && <BatchScreen key={id} id={id} query={query} />}
      {screen === 'playground' && <Playground />}
      {screen === 'lab' && <Lab />}
      {screen === 'workers' && <Workers />}
      {screen === 'checkpoints' && <Checkpoints />}
      {screen === 'ledger' && <Ledger />}
      {screen === 'keys' && <Keys />}
      {!SCREENS.some((one) => one.path === screen) && (
        <Page title="Nothing here">
          <p>
            There is no screen {screen}. <a href="#/">To the overview</a>
          </p>
        </Page>
      )}
    </>
  )
}

function SignIn(props: { hadKey: boolean; onKey: () => void }) {
  const [key, setKey] = useState('')
  return (
    <main class="sign-in">
      <h1>Darkroom</h1>
      <p>This gateway takes a key. It stays in this tab.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          apiKey.set(key.trim())
          props.onKey()
        }}
      >
        <label class="field wide">
          <span>API key</span>
          <input
            type="password"
            autocomplete="off"
            required
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        {props.hadKey && (
          <p class="trouble" role="alert">
            The key is not known here, or has ended.
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </main>
  )
}

const THEME = 'darkroom-theme'

function ThemeButton() {
  const [theme, setTheme] = useState(
    () => localStorage.getItem(THEME) ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'),
  )
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme
    localStorage.setItem(THEME, theme)
  }, [theme])
  const other = theme === 'light' ? 'dark' : 'light'
  return (
    <button type="button" class="plain" onClick={() => setTheme(other)}>
      <Icon name="theme" /> {other === 'dark' ? 'Dark' : 'Light'} theme
    </button>
  )
}
