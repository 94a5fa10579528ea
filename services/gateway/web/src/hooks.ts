import { useEffect, useRef, useState } from 'preact/hooks'

/** What was asked for, while it is asked again and again. */
export interface Asked<T> {
  readonly value: T | null
  readonly error: Error | null
  readonly refresh: () => void
}

/** Asks now, again every `everyMs`, and whenever `key` changes. A page in the background asks nothing. */
export function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, everyMs: number | null, key = ''): Asked<T> {
  const [state, setState] = useState<{ value: T | null; error: Error | null }>({ value: null, error: null })
  const [round, setRound] = useState(0)
  const asking = useRef(ask)
  asking.current = ask
  useEffect(() => {
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const once = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const value = await asking.current(stop.signal)
          if (!stop.signal.aborted) setState({ value, error: null })
        } catch (reason) {
          if (!stop.signal.aborted) setState((before) => ({ ...before, error: reason as Error }))
        }
      }
      if (everyMs !== null && !stop.signal.aborted) timer = setTimeout(() => void once(), everyMs)
    }
    void once()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [everyMs, key, round])
  return { ...state, refresh: () => setRound((n) => n + 1) }
}

/** The part of the address behind '#': a path, and what follows '?'. */
export function useRoute(): { readonly path: readonly string[]; readonly query: URLSearchParams } {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = (): void => setHash(location.hash)
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [])
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  return { path: path.split('/').filter((part) => part !== ''), query: new URLSearchParams(query) }
}

/** Width and height of an element, as they change. */
export function useSize<T extends HTMLElement>() {
  const element = useRef<T>(null)
  const [size, setSize] = useState({ width: 0, height: 0 })
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect
      setSize({ width, height })
    })
    if (element.current !== null) observer.observe(element.current)
    return () => observer.disconnect()
  }, [])
  return { element, ...size }
}
