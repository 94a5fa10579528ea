import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{proto,services,deploy,test}/**/*.test.ts'],
    // Most tests wait for processes of their own: one more beside it is free.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
