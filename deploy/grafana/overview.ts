import { bars, lines, stat } from './panels.ts'
import type { Dashboard } from './panels.ts'

export const overview: Dashboard = {
  uid: 'darkroom-overview',
  title: 'Darkroom / Farm',
  description: 'What waits, what is rendered, by whom, and what goes wrong.',
  variables: [],
  rows: [
    {
      title: 'Now',
      panels: [
        stat(
          'Images a second',
          'Committed, over the last five minutes.',
          'none',
          'sum(rate(darkroom_committed_images_total[5m]))',
          { decimals: 2 },
        ),
        stat(
          'Items that wait',
          'Accepted and not ended, of batches that are not paused.',
          'short',
          'sum(darkroom_queue_items)',
        ),
        stat(
          'Device seconds left',
          'Estimated, of batches that are not paused.',
          's',
          'sum(darkroom_queue_device_seconds)',
        ),
        stat('Workers', 'That are idle or render.', 'short', 'sum(darkroom_workers{state=~"idle|rendering"})'),
        stat(
          'Devices busy',
          'Share of the time in which they computed, on average over all workers.',
          'percentunit',
          'avg(sum by (instance) (rate(darkroom_gpu_busy_seconds_total[5m])))',
          { decimals: 0 },
        ),
        stat(
          'Items that fail',
          'Share of those that ended in the last hour.',
          'percentunit',
          '(sum(increase(darkroom_items_total{outcome="failed"}[1h])) or vector(0)) / (sum(increase(darkroom_items_total[1h])) > 0)',
          { decimals: 2, badFrom: 0.05 },
        ),
      ],
    },
    {
      title: 'Throughput',
      panels: [
        lines(
          'Images a second, by scheduler',
          'Committed images. The schedulers are diffusion schedulers: what decides who renders is the dispatcher.',
          'none',
          [{ expr: 'sum by (scheduler) (rate(darkroom_committed_images_total[5m]))', legend: '{{scheduler}}' }],
          { isStacked: true },
        ),
        lines(
          'Devices busy, by worker',
          'Share of the time in which the device computed.',
          'percentunit',
          [{ expr: 'sum by (instance) (rate(darkroom_gpu_busy_seconds_total[5m]))', legend: '{{instance}}' }],
          { max: 1 },
        ),
        lines(
          'What waits',
          'Items that are accepted and not ended, and the device seconds that they are estimated to take; apart from them those of paused batches, which wait for whoever paused them.',
          'short',
          [
            { expr: 'sum(darkroom_queue_items)', legend: 'items' },
            { expr: 'sum(darkroom_queue_device_seconds)', legend: 'device seconds' },
            { expr: 'sum(darkroom_paused_items)', legend: 'items of paused batches' },
          ],
        ),
        lines(
          'Workers, by state',
          'As the leading coordinator sees them.',
          'short',
          [{ expr: 'sum by (state) (darkroom_workers)', legend: '{{state}}' }],
          { isStacked: true },
        ),
      ],
    },
    {
      title: 'Trouble',
      panels: [
        lines('Items that end, by how', 'Items a second.', 'none', [
          { expr: 'sum by (outcome) (rate(darkroom_items_total[5m]))', legend: '{{outcome}}' },
        ]),
        lines('Shards dispatched again, by why', 'Shards a second. A little is the price of spot nodes.', 'none', [
          { expr: 'sum by (reason) (rate(darkroom_redispatches_total[5m]))', legend: '{{reason}}' },
        ]),
        bars('Workers in quarantine, by why', 'They are given nothing for five minutes.', 'short', {
          expr: 'sum by (reason) (darkroom_quarantined_workers)',
          legend: '{{reason}}',
        }),
        lines(
          'Attempts that lost',
          'Races for a commit record that another attempt won, and shards of which two attempts made different pictures, a second.',
          'none',
          [
            { expr: 'sum(rate(darkroom_lost_commit_races_total{job=~".*coordinator.*"}[5m]))', legend: 'races lost' },
            { expr: 'sum(rate(darkroom_differing_results_total[5m]))', legend: 'pictures differ' },
          ],
        ),
      ],
    },
  ],
}
