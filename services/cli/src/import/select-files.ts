/** Weights of other programs. What an ONNX model keeps outside itself may have any other name, so this is not a list of what is wanted. */
const OTHER_WEIGHTS = /\.(safetensors|bin|pt|pth|ckpt|pkl|pickle|msgpack|h5|gguf|tflite|ot|npz|mlmodel)$/i
/** What belongs to such weights, and what only people look at. */
const UNWANTED =
  /\.(py|ipynb|png|jpe?g|webp|gif|mp4)$|\.(safetensors|bin)\.index(\.[^/]*)?\.json$|(^|\/)openvino_[^/]*$|\.mlpackage\//i

/**
 * Chooses the files of a pipeline that go into a checkpoint: not those that are hidden, not weights that are not ONNX,
 * and nothing of a module that has weights but no ONNX model, for its config would promise what is not there.
 */
export function selectFiles(paths: readonly string[]): string[] {
  const visible = paths.filter((path) => !path.split('/').some((part) => part.startsWith('.')))
  const foldersOf = (pattern: RegExp): Set<string> =>
    new Set(visible.filter((path) => pattern.test(path)).map(folderOf))
  const withModel = foldersOf(/\.onnx$/)
  const withOther = foldersOf(OTHER_WEIGHTS)
  return visible.filter((path) => {
    const folder = folderOf(path)
    const isOfOther = folder !== '' && withOther.has(folder) && !withModel.has(folder)
    return !isOfOther && !OTHER_WEIGHTS.test(path) && !UNWANTED.test(path)
  })
}

/** Whether a file says how a pipeline is built: model_index.json and every …config.json. */
export function isConfig(path: string): boolean {
  return path === 'model_index.json' || path.endsWith('config.json')
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
