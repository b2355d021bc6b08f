/** The only way of a command to stdout and stderr: line by line, none of which what is named in it can break, colour or reorder. */

import { printable } from '../core/host/printable.ts'
import { toJson } from './report.ts'

const written = (lines: readonly string[]): string => lines.map((line) => `${printable(line)}\n`).join('')

export const print = (...lines: readonly string[]): void => void process.stdout.write(written(lines))

export const printJson = (value: object): void => print(...toJson(value).split('\n'))

/** What went wrong, or is not as it was asked for: one line that says who speaks. */
export const complain = (line: string): void => void process.stderr.write(written([`modelmount: ${line}`]))

/** Text of ours, such as the usage, after a complaint. */
export const explain = (text: string): void => void process.stderr.write(written(text.split('\n')))
