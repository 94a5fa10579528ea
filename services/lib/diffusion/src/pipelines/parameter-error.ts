/** A request that cannot be, and the field of it that is at fault. */
export class ParameterError extends RangeError {
  readonly parameter: string

  constructor(parameter: string, message: string) {
    super(message)
    this.name = 'ParameterError'
    this.parameter = parameter
  }
}
