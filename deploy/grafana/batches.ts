import { bars, lines, stat } from './panels.ts'
import type { Dashboard } from './panels.ts'

export const batches: Dashboard = {
  uid: 'darkroom-batches',
  title: 'Darkroom / Batches and tenants',
  description: 'Whose work waits, who gets the devices, and what the gateway is asked.',
  variables: [],
  rows: [
    {
      title: 'Batches',
      panels: [
        stat('Open', 'Not ended.', 'short', 'sum(darkroom_open_batches)'),
        stat(
          'Oldest',
          'Age of the oldest that is open and not paused.',
          'dtdurations',
          'max(darkroom_queue_oldest_age_seconds)',
          { badFrom: 21_600 },
        ),
        stat('Late', 'That will not have ended when they are wanted.', 'short', 'sum(darkroom_late_batches)', {
          badFrom: 1,
        }),
        stat(
          'Completed in an hour',
          'Batches.',
          'short',
          '(sum(increase(darkroom_ended_batches_total{outcome="completed"}[1h])) or vector(0))',
        ),
        stat(
          'Cancelled in an hour',
          'Batches.',
          'short',
          '(sum(increase(darkroom_ended_batches_total{outcome="cancelled"}[1h])) or vector(0))',
        ),
        stat(
          'Hedged in an hour',
          'Shards that two workers rendered, as one took too long.',
          'short',
          'sum(increase(darkroom_hedged_shards_total[1h]))',
        ),
        lines(
          'Open batches, by state',
          'As the leading coordinator has them.',
          'short',
          [{ expr: 'sum by (state) (darkroom_open_batches)', legend: '{{state}}' }],
          { isStacked: true },
        ),
        lines(
          'Shards',
          'Planned and waiting, planned of batches that are paused, or with a worker.',
          'short',
          [{ expr: 'sum by (state) (darkroom_queue_shards)', legend: '{{state}}' }],
          { isStacked: true },
        ),
      ],
    },
    {
      title: 'Tenants',
      panels: [
        lines(
          'Devices, by tenant',
          'Device seconds a second: while several have work that waits, they follow the weights.',
          'none',
          [{ expr: 'sum by (tenant) (rate(darkroom_tenant_device_seconds_total[5m]))', legend: '{{tenant}}' }],
          { isStacked: true },
        ),
        lines(
          'Images a second, by tenant',
          'Committed.',
          'none',
          [{ expr: 'sum by (tenant) (rate(darkroom_tenant_images_total[5m]))', legend: '{{tenant}}' }],
          { isStacked: true },
        ),
        lines(
          'Items that wait, by tenant',
          'Accepted and not ended, of batches that are not paused.',
          'short',
          [{ expr: 'sum by (tenant) (darkroom_tenant_queue_items)', legend: '{{tenant}}' }],
          { isStacked: true },
        ),
        bars(
          'Cost of an hour, by tenant',
          'At the price of a device second that the coordinator was given.',
          'none',
          {
            expr: 'scalar(max(darkroom_device_second_price)) * sum by (tenant) (increase(darkroom_tenant_device_seconds_total[1h]))',
            legend: '{{tenant}}',
          },
          { decimals: 2 },
        ),
      ],
    },
    {
      title: 'The gateway',
      panels: [
        lines('Requests a second, by route', 'Of all gateways.', 'reqps', [
          { expr: 'sum by (route) (rate(darkroom_gateway_request_seconds_count[5m]))', legend: '{{route}}' },
        ]),
        lines('Seconds of a request, 99th percentile', 'By route. Uploads take as long as their callers.', 's', [
          {
            expr: 'histogram_quantile(0.99, sum by (le, route) (rate(darkroom_gateway_request_seconds_bucket[5m])))',
            legend: '{{route}}',
          },
        ]),
        lines('Items that come in', 'A second, accepted or refused with their batch.', 'none', [
          { expr: 'sum by (outcome) (rate(darkroom_gateway_items_total[5m]))', legend: '{{outcome}}' },
        ]),
        lines('Who follows and waits', 'Clients that follow a batch, and requests that are being answered.', 'short', [
          { expr: 'sum(darkroom_gateway_event_clients)', legend: 'follow a batch' },
          { expr: 'sum(darkroom_gateway_open_requests)', legend: 'open requests' },
        ]),
      ],
    },
  ],
}
