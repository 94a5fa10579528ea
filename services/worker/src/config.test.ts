import { DarkroomError, readConfig } from '@darkroom/chassis'
import { expect, test } from 'vitest'
import { WORKER_VARIABLES } from './config.ts'

test('every problem of the environment is told at once', () => {
  const environment = {
    DARKROOM_WORKER_PORT: '80o0',
    DARKROOM_WORKER_DEVICE: 'tpu',
    DARKROOM_CUDA_LIBRARY_PATH: '/opt/cuda:lib',
    DARKROOM_WORKER_THREADS: '0',
    DARKROOM_WORKER_POOL: 'not one token',
  }
  const error = (() => {
    try {
      return readConfig(WORKER_VARIABLES, environment)
    } catch (reason) {
      return reason
    }
  })()
  expect(error).toBeInstanceOf(DarkroomError)
  expect((error as DarkroomError).problems.map(({ field }) => field)).toEqual([
    'DARKROOM_S3_BUCKET',
    'DARKROOM_WORKER_POOL',
    'DARKROOM_WORKER_PORT',
    'DARKROOM_WORKER_DEVICE',
    'DARKROOM_CUDA_LIBRARY_PATH',
    'DARKROOM_WORKER_THREADS',
  ])
})

test('folders of CUDA are listed as PATH lists them', () => {
  const environment = { DARKROOM_S3_BUCKET: 'farm', DARKROOM_CUDA_LIBRARY_PATH: '/opt/cuda/lib64:/opt/venv/nvidia:' }
  expect(readConfig(WORKER_VARIABLES, environment).cudaLibraryPath).toEqual(['/opt/cuda/lib64', '/opt/venv/nvidia'])
  expect(readConfig(WORKER_VARIABLES, { DARKROOM_S3_BUCKET: 'farm' }).cudaLibraryPath).toEqual([])
})
