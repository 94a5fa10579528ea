// Preloaded into the processes of a loopback cluster: answers for names that end in .svc as the cluster's DNS would. The file is
// read at each question, since pods come and go.
import dns from 'node:dns'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

function addressesOf(host) {
  return JSON.parse(readFileSync(process.env.LOOPBACK_NAMES, 'utf8'))[host] ?? []
}

function noSuchName(call, hostname) {
  return Object.assign(new Error(`${call} ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', syscall: call, hostname })
}

const { lookup, resolve4, resolve6 } = dns
const lookupPromise = dns.promises.lookup

dns.lookup = (hostname, ...rest) => {
  if (!hostname.endsWith('.svc')) return lookup(hostname, ...rest)
  const callback = rest.at(-1)
  const isAll = rest.length > 1 && rest[0]?.all === true
  const found = addressesOf(hostname).map((address) => ({ address, family: 4 }))
  process.nextTick(() => {
    if (found.length === 0) callback(noSuchName('getaddrinfo', hostname))
    else if (isAll) callback(null, found)
    else callback(null, found[0].address, 4)
  })
}
dns.promises.lookup = (hostname, options) =>
  hostname.endsWith('.svc')
    ? new Promise((resolve, reject) =>
        dns.lookup(hostname, options ?? {}, (err, found, family) => {
          if (err) reject(err)
          else resolve(options?.all === true ? found : { address: found, family })
        }),
      )
    : lookupPromise(hostname, options)
for (const [name, resolve] of Object.entries({ resolve4, resolve6 }))
  dns[name] = (hostname, ...rest) => {
    if (!hostname.endsWith('.svc')) return resolve.call(dns, hostname, ...rest)
    const found = name === 'resolve4' ? addressesOf(hostname) : []
    process.nextTick(() => (found.length === 0 ? rest.at(-1)(noSuchName(name, hostname)) : rest.at(-1)(null, found)))
  }
syncBuiltinESMExports()
