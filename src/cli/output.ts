/** The only way of a command to stdout and stderr: line by line. Names in a line cannot break, colour or reorder it. */

import { printable } from '../core/host/printable.ts'
import { toJson } from './report.ts'

const written = (lines: readonly string[]): string => lines.map((line) => `${printable(line)}\n`).join('')

export const print = (...lines: readonly string[]): void => void process.stdout.write(written(lines))

export const printJson = (value: object): void => print(...toJson(value).split('\n'))

/** A failure or a deviation from the request: one line that names the command. */
export const complain = (line: string): void => void process.stderr.write(written([`modelmount: ${line}`]))

/** Our own text, such as the usage, after a complaint. */
export const explain = (text: string): void => void process.stderr.write(written(text.split('\n')))
