import { flag, integer, readConfig, runService, secret, text } from '@darkroom/chassis'
import { startS3Server } from './server.ts'

const VARIABLES = {
  directory: text('DARKROOM_LOCAL_S3_DIRECTORY', 'folder of the buckets'),
  port: integer('DARKROOM_LOCAL_S3_PORT', 'port; 0 takes a free one', 0, { min: 0, max: 65_535 }),
  accessKeyId: text('DARKROOM_LOCAL_S3_ACCESS_KEY_ID', 'access key that clients sign with'),
  secretAccessKey: secret('DARKROOM_LOCAL_S3_SECRET_ACCESS_KEY', 'secret key that clients sign with'),
  fsync: flag('DARKROOM_LOCAL_S3_FSYNC', 'sync every file to the disk before it is answered for', true),
} as const

await runService(async () => {
  const { secretAccessKey, ...options } = readConfig(VARIABLES, process.env)
  const server = await startS3Server({ ...options, secretAccessKey: secretAccessKey.reveal() })
  console.log(JSON.stringify({ msg: 'ready', service: 's3', httpPort: server.port, url: server.url }))
  return server
})
