/**
 * Seconds between two writes of a shard's progress at which least is lost: the writes' own time and, at each loss, half an
 * interval of work. Young 1974, "A first order approximation to the optimum checkpoint interval": sqrt(2 · C · MTBF).
 */
export function checkpointInterval(costSeconds: number, meanSecondsBetweenLosses: number): number {
  return Math.sqrt(2 * costSeconds * meanSecondsBetweenLosses)
}
