/** Does something for 0 … count - 1, so many at once. */
export async function inLanes(lanes: number, count: number, action: (n: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) await action(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
