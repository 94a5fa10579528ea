/** The invariants of design.md that a simulation watches, and `bug` for what was thrown and nobody expected. */
export type Invariant =
  | 'I1'
  | 'I2'
  | 'I3'
  | 'I4'
  | 'I6'
  | 'I8'
  | 'I9'
  | 'I10'
  | 'I11'
  | 'I12'
  | 'I13'
  | 'I14'
  | 'I15'
  | 'bug'

export interface Violation {
  readonly invariant: Invariant
  readonly message: string
}
