import { SCHEDULERS } from './registry.ts'
import type { SchedulerName } from './registry.ts'
import { describeScheduler } from './scheduler.suite.ts'

for (const name of Object.keys(SCHEDULERS) as SchedulerName[]) describeScheduler(name)
