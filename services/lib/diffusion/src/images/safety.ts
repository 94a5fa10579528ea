/** What the safety checker's graph puts out for one picture: its cosine similarities to concepts, and their thresholds. */
export interface SafetyScores {
  readonly specialCosDist: Float32Array
  readonly specialThresholds: Float32Array
  readonly cosDist: Float32Array
  readonly thresholds: Float32Array
}

/**
 * Whether a picture is to be blacked out. diffusers `StableDiffusionSafetyChecker.forward`: a special concept that is found
 * makes everything after it stricter by 0.01.
 */
export function isFlagged({ specialCosDist, specialThresholds, cosDist, thresholds }: SafetyScores): boolean {
  let adjustment = 0
  const isFound = (similarity: number, threshold: number): boolean =>
    Number((similarity - threshold + adjustment).toFixed(3)) > 0
  for (const [i, similarity] of specialCosDist.entries()) {
    if (isFound(similarity, specialThresholds[i]!)) adjustment = 0.01
  }
  return cosDist.some((similarity, i) => isFound(similarity, thresholds[i]!))
}
