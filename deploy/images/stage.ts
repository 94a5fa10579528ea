import { IMAGES, stageImage } from './stage-image.ts'
import type { ImageName } from './stage-image.ts'

// Lays out what an image has over its base: node deploy/images/stage.ts IMAGE FOLDER
const [image, folder] = process.argv.slice(2)
if (!IMAGES.includes(image as ImageName) || folder === undefined) {
  console.error(`usage: stage.ts ${IMAGES.join('|')} FOLDER`)
  process.exit(2)
}
stageImage(image as ImageName, folder)
