import { lines, stat } from './panels.ts'
import type { Dashboard } from './panels.ts'

export const plumbing: Dashboard = {
  uid: 'darkroom-plumbing',
  title: 'Darkroom / Object store and NATS',
  description: 'What the farm stands on, and what it costs its own processes.',
  variables: [{ name: 'job', label: 'Service', metric: 'darkroom_store_request_seconds_count' }],
  rows: [
    {
      title: 'Object store',
      panels: [
        lines('Requests a second', 'By operation.', 'reqps', [
          { expr: 'sum by (op) (rate(darkroom_store_request_seconds_count{job=~"$job"}[5m]))', legend: '{{op}}' },
        ]),
        lines('Seconds of a request', 'With its retries, on average, by operation.', 's', [
          {
            expr: 'sum by (op) (rate(darkroom_store_request_seconds_sum{job=~"$job"}[5m])) / sum by (op) (rate(darkroom_store_request_seconds_count{job=~"$job"}[5m]) > 0)',
            legend: '{{op}}',
          },
        ]),
        lines('How requests end', 'refused is a conditional write that another won, and no error.', 'reqps', [
          {
            expr: 'sum by (job, outcome) (rate(darkroom_store_request_seconds_count{job=~"$job"}[5m]))',
            legend: '{{job}} {{outcome}}',
          },
        ]),
        lines('Writing progress', 'Seconds a second that workers write how far their shards are, by why.', 's', [
          { expr: 'sum by (reason) (rate(darkroom_progress_write_seconds_sum[5m]))', legend: '{{reason}}' },
        ]),
      ],
    },
    {
      title: 'Coordinator and NATS',
      panels: [
        stat('Coordinators that lead', 'One, always.', 'short', 'sum(darkroom_coordinator_leader)'),
        stat('Connected to NATS', 'Coordinators.', 'short', 'sum(darkroom_nats_connected)'),
        stat('Workers with a coordinator', 'Whose stream is open.', 'short', 'sum(darkroom_coordinator_connected)'),
        stat(
          'Swaps in an hour',
          'Shards for which a worker had to load a checkpoint.',
          'short',
          'sum(increase(darkroom_swaps_total[1h]))',
        ),
        stat('Seconds of a swap', 'On average, as measured.', 's', 'max(darkroom_mean_swap_seconds)'),
        stat(
          'Effects that failed in an hour',
          'Of the coordinator; they are tried again.',
          'short',
          '(sum(increase(darkroom_effect_failures_total[1h])) or vector(0))',
          { badFrom: 100 },
        ),
        lines(
          'Dispatches a second',
          'Shards that were put into the stream, and those that were put there again.',
          'none',
          [
            { expr: 'sum(rate(darkroom_dispatches_total[5m]))', legend: 'dispatched' },
            { expr: 'sum(rate(darkroom_redispatches_total[5m]))', legend: 'again' },
          ],
        ),
        lines(
          'Planning and finalizing',
          'Seconds on average: a segment of 1,024 items, and the output files of a batch.',
          's',
          [
            {
              expr: 'sum(rate(darkroom_planning_seconds_sum[5m])) / (sum(rate(darkroom_planning_seconds_count[5m])) > 0)',
              legend: 'planning',
            },
            {
              expr: 'sum(rate(darkroom_finalizing_seconds_sum[5m])) / (sum(rate(darkroom_finalizing_seconds_count[5m])) > 0)',
              legend: 'finalizing',
            },
          ],
        ),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines('Memory', 'Resident.', 'bytes', [
          {
            expr: 'sum by (job, instance) (process_resident_memory_bytes{job=~"$job"})',
            legend: '{{job}} {{instance}}',
          },
        ]),
        lines('CPU', 'Cores.', 'none', [
          {
            expr: 'sum by (job, instance) (rate(process_cpu_seconds_total{job=~"$job"}[5m]))',
            legend: '{{job}} {{instance}}',
          },
        ]),
        lines('Event loop delay, 99th percentile', 'Of the thread that talks: what it waits for itself.', 's', [
          {
            expr: 'max by (job, instance) (nodejs_eventloop_lag_p99_seconds{job=~"$job"})',
            legend: '{{job}} {{instance}}',
          },
        ]),
      ],
    },
  ],
}
