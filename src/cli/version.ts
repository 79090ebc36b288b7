export { version } from '../lib/program-version.ts'
