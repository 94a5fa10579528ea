import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { planCapacity } from '../capacity.ts'
import type { CapacityRequest, CapacityPlan } from '../capacity.ts'
import { duration } from '../progress.ts'

export function addSimulate(program: Command, context: () => CommandContext): void {
  program
    .command('simulate')
    .description(
      'how long a batch takes on a farm of so many workers and what it costs, by a run on a virtual clock; renders nothing',
    )
    .requiredOption('-w, --workers <n>', 'workers', count)
    .requiredOption('-n, --prompts <n>', 'images', count)
    .option(
      '--image-seconds <s>',
      'device seconds of one image: darkroom status shows them for each scheduler',
      positive,
      1,
    )
    .option('--speeds <list>', 'of the workers, in turn, such as 1,0.6 where a part is slower', speeds, [1])
    .option('--checkpoints <n>', 'how many the images want, in equal parts', count, 1)
    .option('--load-seconds <s>', 'to load one', positive, 20)
    .option('--killed-per-hour <share>', 'of the workers; each is replaced', share, 0)
    .option('--lose <share>', 'of the workers that are gone for good, such as 0.4 of spot nodes', share)
    .option('--lose-after <s>', 'when, in seconds', positive, 600)
    .option('--price <per-hour>', 'of one worker', positive)
    .action(async (options: CapacityRequest & { readonly price?: number }) => {
      const { lose, price, ...request } = options
      const plan = await planCapacity(request)
      const without = lose === undefined ? null : await planCapacity({ ...request, lose })
      const costOf = ({ workerHours }: CapacityPlan): number | null =>
        price === undefined ? null : workerHours * price
      const json = {
        ...plan,
        cost: costOf(plan),
        ...(without !== null && { ifLost: { ...without, cost: costOf(without) } }),
      }
      context().print(json, () => {
        const head = `${request.prompts} images of ${request.imageSeconds} s on ${request.workers} workers: `
        const lines = [head + told(plan, costOf(plan))]
        if (lose !== undefined && without !== null)
          lines.push(
            `with ${Math.round(100 * lose)} % of them gone after ${duration(request.loseAfter)}: ${told(without, costOf(without))}`,
          )
        return lines.join('\n')
      })
    })
}

function told({ seconds, workerHours, busyShare, loads }: CapacityPlan, cost: number | null): string {
  const parts = [
    duration(seconds),
    `${workerHours.toFixed(1)} worker-hours`,
    `${(100 * busyShare).toFixed(1)} % of them rendering`,
    `${loads} loads of checkpoints`,
    ...(cost === null ? [] : [`costs ${cost.toFixed(2)}`]),
  ]
  return parts.join(', ')
}

function positive(text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new InvalidArgumentError('want a number above 0.')
  return number
}

function count(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('want a whole number of at least 1.')
  return number
}

function share(text: string): number {
  const number = Number(text)
  if (!(number >= 0 && number < 1)) throw new InvalidArgumentError(`${text} is no share: want 0 or more, below 1.`)
  return number
}

function speeds(text: string): readonly number[] {
  return text.split(',').map(positive)
}
