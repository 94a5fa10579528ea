import { bars, lines } from './panels.ts'
import type { Dashboard } from './panels.ts'

export const gpus: Dashboard = {
  uid: 'darkroom-gpus',
  title: 'Darkroom / GPU utilisation',
  description:
    'What the devices do: the workers’ own figures, nvidia-smi’s through them, and DCGM’s where its exporter runs.',
  variables: [{ name: 'instance', label: 'Worker', metric: 'darkroom_gpu_busy_seconds_total' }],
  rows: [
    {
      title: 'The workers’ own figures',
      panels: [
        lines(
          'Busy',
          'Share of the time in which the device computed. What is missing to 100 %: nothing to do, loading, or waiting.',
          'percentunit',
          [
            {
              expr: 'sum by (instance) (rate(darkroom_gpu_busy_seconds_total{instance=~"$instance"}[5m]))',
              legend: '{{instance}}',
            },
          ],
          { max: 1 },
        ),
        lines(
          'Held up by loads',
          'Share of the time in which a checkpoint was fetched or loaded, and the device computed nothing meanwhile.',
          'percentunit',
          [
            {
              expr: 'sum by (instance) (rate(darkroom_gpu_load_seconds_total{instance=~"$instance"}[5m]))',
              legend: '{{instance}}',
            },
          ],
          { max: 1 },
        ),
        lines(
          'Where the time of images goes',
          'Seconds of each stage a second, over all workers.',
          's',
          [
            {
              expr: 'sum by (stage) (rate(darkroom_stage_seconds_sum{instance=~"$instance"}[5m]))',
              legend: '{{stage}}',
            },
          ],
          { isStacked: true },
        ),
        lines('Images a second', 'Of each worker.', 'none', [
          {
            expr: 'sum by (instance) (rate(darkroom_images_total{instance=~"$instance"}[5m]))',
            legend: '{{instance}}',
          },
        ]),
        lines(
          'Empty rows',
          'Rows of model calls that no image took: what a closed set of sizes costs.',
          'percentunit',
          [
            {
              expr: 'sum by (instance) (rate(darkroom_padding_rows_total{instance=~"$instance"}[5m])) / sum by (instance) (rate(darkroom_unet_batch_rows_sum{instance=~"$instance"}[5m]) > 0)',
              legend: '{{instance}}',
            },
          ],
        ),
        bars('Checkpoints in memory', 'Of each worker.', 'short', {
          expr: 'sum by (instance) (darkroom_resident_checkpoints{instance=~"$instance"})',
          legend: '{{instance}}',
        }),
        lines('Loading checkpoints', 'Seconds a second, from the object store to the device.', 's', [
          {
            expr: 'sum by (checkpoint) (rate(darkroom_checkpoint_load_seconds_sum{instance=~"$instance"}[15m]))',
            legend: '{{checkpoint}}',
          },
        ]),
      ],
    },
    {
      title: 'nvidia-smi, through the workers',
      isCollapsed: true,
      panels: [
        lines(
          'Utilisation',
          'Share of the time in which a kernel ran: not how much of the device it used.',
          'percentunit',
          [{ expr: 'darkroom_gpu_utilization_ratio{instance=~"$instance"}', legend: '{{instance}} {{gpu}}' }],
          { max: 1 },
        ),
        lines('Memory', 'In use.', 'bytes', [
          { expr: 'darkroom_gpu_memory_used_bytes{instance=~"$instance"}', legend: '{{instance}} {{gpu}}' },
        ]),
        lines('Power', 'Drawn.', 'watt', [
          { expr: 'darkroom_gpu_power_watts{instance=~"$instance"}', legend: '{{instance}} {{gpu}}' },
        ]),
        lines('Temperature', 'It slows down by itself when it is hot.', 'celsius', [
          { expr: 'darkroom_gpu_temperature_celsius{instance=~"$instance"}', legend: '{{instance}} {{gpu}}' },
        ]),
      ],
    },
    {
      title: 'DCGM, where its exporter runs',
      isCollapsed: true,
      panels: [
        lines(
          'Tensor cores active',
          'Share of the cycles in which they worked: the honest figure of a GPU’s use.',
          'percentunit',
          [{ expr: 'DCGM_FI_PROF_PIPE_TENSOR_ACTIVE', legend: '{{Hostname}} {{gpu}}' }],
          { max: 1 },
        ),
        lines(
          'Memory bandwidth',
          'Share of the cycles in which memory was moved.',
          'percentunit',
          [{ expr: 'DCGM_FI_PROF_DRAM_ACTIVE', legend: '{{Hostname}} {{gpu}}' }],
          { max: 1 },
        ),
        lines('Power', 'Drawn.', 'watt', [{ expr: 'DCGM_FI_DEV_POWER_USAGE', legend: '{{Hostname}} {{gpu}}' }]),
        lines('XID errors', 'The last that the driver told of; anything but 0 is worth a look.', 'none', [
          { expr: 'DCGM_FI_DEV_XID_ERRORS', legend: '{{Hostname}} {{gpu}}' },
        ]),
      ],
    },
  ],
}
