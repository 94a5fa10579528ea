import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  // The page may lie below a path of a proxy.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { '/api': process.env['DARKROOM_GATEWAY_URL'] ?? 'http://127.0.0.1:8080' } },
})
