import react from '@vitejs/plugin-react'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const outDir = 'dist'
const kept = 'placeholder.html' // committed, so that the Go binary builds without Node

// emptyOutDir would remove the committed placeholder too.
function emptyAllButPlaceholder(): Plugin {
  return {
    name: 'empty-all-but-placeholder',
    apply: 'build',
    buildStart() {
      for (const name of readdirSync(outDir, { withFileTypes: true })) {
        if (name.name !== kept) rmSync(join(outDir, name.name), { recursive: true })
      }
    },
  }
}

export default defineConfig({
  plugins: [react(), emptyAllButPlaceholder()],
  build: {
    outDir,
    emptyOutDir: false,
    target: 'es2022',
    assetsInlineLimit: 0, // data: URLs would need a wider content security policy
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/v1': { target: 'http://127.0.0.1:7680', ws: true } },
  },
  test: {
    environment: 'happy-dom',
    testTimeout: 30_000,
    include: ['src/**/*.test.{ts,tsx}'],
  },
})
