/** The second door: what a simulation runs without a server around it. */
export type { Clock } from './clock.ts'
export { createEvents } from './events.ts'
export { Term } from './term.ts'
export { viewOpen } from './views.ts'
export { WorkerLinks } from './worker-links.ts'
