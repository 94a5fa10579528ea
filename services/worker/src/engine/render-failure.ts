import { DarkroomError } from '@darkroom/chassis'

/** An image that cannot be rendered, and what it took of the device until that was known. */
export class RenderFailure extends DarkroomError {
  readonly deviceSeconds: number

  constructor(message: string, deviceSeconds: number) {
    super('RENDER_FAILED', message)
    this.deviceSeconds = deviceSeconds
  }
}
