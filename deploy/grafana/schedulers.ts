import { bars, lines, table } from './panels.ts'
import type { Dashboard } from './panels.ts'

const CHOSEN = 'checkpoint=~"$checkpoint", scheduler=~"$scheduler"'
const CALLS = 'checkpoint=~"$checkpoint", scheduler=~"$scheduler|mixed"'

export const schedulers: Dashboard = {
  uid: 'darkroom-schedulers',
  title: 'Darkroom / Throughput per scheduler',
  description: 'What each diffusion scheduler renders, how fast, and at what cost.',
  variables: [
    { name: 'checkpoint', label: 'Checkpoint', metric: 'darkroom_images_total' },
    { name: 'scheduler', label: 'Scheduler', metric: 'darkroom_images_total' },
  ],
  rows: [
    {
      title: 'Throughput',
      panels: [
        lines(
          'Images a second',
          'Rendered by the workers, committed or not.',
          'none',
          [{ expr: `sum by (scheduler) (rate(darkroom_images_total{${CHOSEN}}[5m]))`, legend: '{{scheduler}}' }],
          { isStacked: true },
        ),
        lines(
          'Steps a second',
          'Denoising steps, one for each image and model call: compares schedulers apart from how many steps are asked of them.',
          'none',
          [{ expr: `sum by (scheduler) (rate(darkroom_denoise_steps_total{${CHOSEN}}[5m]))`, legend: '{{scheduler}}' }],
          { isStacked: true },
        ),
        lines('Device seconds of an image', 'Its share of every model call that it took part in, on average.', 's', [
          {
            expr: `sum by (scheduler) (rate(darkroom_image_seconds_sum{${CHOSEN}}[5m])) / sum by (scheduler) (rate(darkroom_image_seconds_count{${CHOSEN}}[5m]) > 0)`,
            legend: '{{scheduler}}',
          },
        ]),
        lines('Device seconds of an image, 95th percentile', 'Of a hundred images, five took longer.', 's', [
          {
            expr: `histogram_quantile(0.95, sum by (le, scheduler) (rate(darkroom_image_seconds_bucket{${CHOSEN}}[5m])))`,
            legend: '{{scheduler}}',
          },
        ]),
      ],
    },
    {
      title: 'Cost',
      panels: [
        bars(
          'Cost of a thousand images',
          'Device seconds of an image, on average over an hour, at the price of a device second that the coordinator was given.',
          'none',
          {
            expr: `1000 * scalar(max(darkroom_device_second_price)) * sum by (scheduler) (increase(darkroom_image_seconds_sum{${CHOSEN}}[1h])) / sum by (scheduler) (increase(darkroom_image_seconds_count{${CHOSEN}}[1h]) > 0)`,
            legend: '{{scheduler}}',
          },
          { decimals: 2 },
        ),
        bars(
          'Steps of an image',
          'Denoising steps that were made for one, on average over an hour; those of images that were lost on their way count.',
          'none',
          {
            expr: `sum by (scheduler) (increase(darkroom_denoise_steps_total{${CHOSEN}}[1h])) / sum by (scheduler) (increase(darkroom_images_total{${CHOSEN}}[1h]) > 0)`,
            legend: '{{scheduler}}',
          },
          { decimals: 1 },
        ),
        table(
          'By scheduler and checkpoint, over an hour',
          'Cost at the price of a device second that the coordinator was given; 0 where none was.',
          [
            {
              expr: `sum by (scheduler, checkpoint) (increase(darkroom_images_total{${CHOSEN}}[1h]))`,
              legend: 'Images',
            },
            {
              expr: `sum by (scheduler, checkpoint) (increase(darkroom_image_seconds_sum{${CHOSEN}}[1h])) / sum by (scheduler, checkpoint) (increase(darkroom_image_seconds_count{${CHOSEN}}[1h]) > 0)`,
              legend: 'Seconds an image',
            },
            {
              expr: `sum by (scheduler, checkpoint) (increase(darkroom_image_seconds_sum{${CHOSEN}}[1h])) / sum by (scheduler, checkpoint) (increase(darkroom_image_seconds_count{${CHOSEN}}[1h]) > 0) * scalar(max(darkroom_device_second_price))`,
              legend: 'Cost an image',
            },
          ],
        ),
      ],
    },
    {
      title: 'Model calls',
      panels: [
        lines('Seconds of a model call', 'By the scheduler of its images; mixed where a call has several.', 's', [
          {
            expr: `sum by (scheduler) (rate(darkroom_unet_step_seconds_sum{${CALLS}}[5m])) / sum by (scheduler) (rate(darkroom_unet_step_seconds_count{${CALLS}}[5m]) > 0)`,
            legend: '{{scheduler}}',
          },
        ]),
        lines(
          'Rows of a model call',
          'Images of any batch and scheduler share calls: more rows a call, more images a second. Guidance takes two rows an image.',
          'none',
          [
            {
              expr: `sum by (scheduler) (rate(darkroom_unet_batch_rows_sum{${CALLS}}[5m])) / sum by (scheduler) (rate(darkroom_unet_batch_rows_count{${CALLS}}[5m]) > 0)`,
              legend: '{{scheduler}}',
            },
          ],
        ),
      ],
    },
  ],
}
