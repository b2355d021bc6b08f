/** Session options with defaults for a server that shares its machine with a web application, in ONNX Runtime's spelling. */

import type { OrtSessionOptions, ProviderRequest } from './messages.ts'
import type { ExecutionProvider, SessionOptions } from './types.ts'

/** Without `intraOpNumThreads` a run has one thread; who knows the other models sets the share of this one before it loads. */
export function ortSessionOptions(session: SessionOptions): OrtSessionOptions {
  const extra: Record<string, string> = {
    // Spinning threads burn eight times the CPU of an idle server and starve the event loop beside them.
    'session.intra_op.allow_spinning': session.allowSpinning ? '1' : '0',
    'session.inter_op.allow_spinning': session.allowSpinning ? '1' : '0',
  }
  if (session.disablePrepacking) extra['session.disable_prepacking'] = '1'
  if (session.denormalAsZero) extra['session.set_denormal_as_zero'] = '1'
  return {
    intraOpNumThreads: session.intraOpNumThreads ?? 1,
    interOpNumThreads: session.interOpNumThreads ?? 1,
    graphOptimizationLevel: session.graphOptimizationLevel ?? 'all',
    executionMode: session.executionMode ?? 'sequential',
    // Patterns without the arena keep memory for each new size of input. So one that is given stands for both.
    enableCpuMemArena: session.enableCpuMemArena ?? session.enableMemPattern ?? false,
    enableMemPattern: session.enableMemPattern ?? session.enableCpuMemArena ?? false,
    // Native log lines quote names from the model raw, so a hostile model could forge the host's log; the text still comes with the error.
    logSeverityLevel: 4,
    extra,
  }
}

export const providerRequest = (provider: ExecutionProvider): ProviderRequest =>
  typeof provider === 'string' ? { name: provider } : provider
