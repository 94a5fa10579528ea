import { linspace, roundHalfEven } from './betas.ts'

export type TimestepSpacing = 'linspace' | 'leading' | 'trailing'
export const TIMESTEP_SPACINGS: readonly TimestepSpacing[] = ['linspace', 'leading', 'trailing']

/** numpy.arange(stop, 0, -step): as long as ceil(stop / step). Its stride is what is left of the step beside `stop`, not the step. */
export function arangeDown(stop: number, step: number): number[] {
  const stride = stop - step - stop
  return Array.from({ length: Math.ceil(stop / step) }, (_, i) => stop + i * stride)
}

/**
 * Refuses a schedule that leaves the training range: diffusers would index past its end. Timestep -1, which trailing spacing
 * puts behind the others at some numbers of steps (61 of 1000), it finds at that end, as `Array.at` does.
 * @throws RangeError
 */
export function assertTrained(timesteps: readonly number[], numTrainTimesteps: number): void {
  const beyond = timesteps.find((t) => t >= numTrainTimesteps || t < -1)
  if (beyond !== undefined) {
    throw new RangeError(
      `the schedule has timestep ${beyond}, outside 0 … ${numTrainTimesteps - 1}; lower numInferenceSteps or steps_offset, or choose another timestep_spacing.`,
    )
  }
}

/**
 * Timesteps from high to low. Lin et al. 2023 (arXiv:2305.08891), table 2.
 * DDIM, DDPM and PNDM round the linspace ones; Euler and its relatives (`isRounded` false) do not.
 */
export function spacedTimesteps(options: {
  spacing: TimestepSpacing
  numTrainTimesteps: number
  numInferenceSteps: number
  stepsOffset: number
  isRounded: boolean
}): number[] {
  const { spacing, numTrainTimesteps: train, numInferenceSteps: steps, stepsOffset, isRounded } = options
  const spacings: Readonly<Record<TimestepSpacing, () => number[]>> = {
    linspace: () =>
      linspace(0, train - 1, steps)
        .map(isRounded ? roundHalfEven : (t) => t)
        .toReversed(),
    leading: () => {
      const ratio = Math.floor(train / steps)
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + stepsOffset)
    },
    trailing: () => arangeDown(train, train / steps).map((t) => roundHalfEven(t) - 1),
  }
  return spacings[spacing]()
}
