/** The order of the long tests: the suite on other versions of Node comes last, with whatever time the others left. */

import { BaseSequencer, type TestSpecification } from 'vitest/node'

const isLast = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith('node-versions.test.ts')

export class VersionsLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return [...sorted.filter((file) => !isLast(file)), ...sorted.filter(isLast)]
  }
}
