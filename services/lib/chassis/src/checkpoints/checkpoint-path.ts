import { DarkroomError } from '../errors.ts'

const PICKLE = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i
// Control characters, the backslash of other systems, and the colon of drives and alternate streams.
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u001f\u007f\\:]/

/**
 * Refuses a path that could reach outside a checkpoint's folder, on any system: absolute, climbing, hidden or empty parts.
 * Used alike for folders that are pushed, for manifests read from the store and for what an ONNX file points at.
 * @throws DarkroomError CHECKPOINT_INVALID
 */
export function assertCheckpointPath(path: string): void {
  const parts = path.split('/')
  const safe =
    path.length > 0 &&
    Buffer.byteLength(path) <= 512 &&
    !FORBIDDEN.test(path) &&
    parts.every((part) => part.length > 0 && !part.startsWith('.') && Buffer.byteLength(part) <= 200)
  if (!safe) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `path ${JSON.stringify(path)} is not a plain relative path inside the checkpoint: use '/'-separated names that do not start with '.'`,
    )
  }
  if (PICKLE.test(path)) {
    throw new DarkroomError(
      'CHECKPOINT_INVALID',
      `${path} is a pickle: opening one can run any program, so none is ever stored or read. Export the pipeline to ONNX and push that folder`,
    )
  }
}
