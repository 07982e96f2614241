/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-types.h"

/* The names are on the wire: STATUS frames carry them. */
static const char *const phase_names[] = {
  [KCP_PHASE_SPAWNING] = "spawning",
  [KCP_PHASE_CONNECTING] = "connecting",
  [KCP_PHASE_HANDSHAKE] = "handshake",
  [KCP_PHASE_OPENING] = "opening",
  [KCP_PHASE_SYMBOLS] = "symbols",
  [KCP_PHASE_STARTING] = "starting",
  [KCP_PHASE_READY] = "ready",
  [KCP_PHASE_STOPPING] = "stopping",
};

/**
 * kcp_phase_to_string:
 * @phase: a phase
 *
 * The stable English name of a phase, as it is on the wire.
 *
 * Returns: (transfer none): the name
 */
const char *
kcp_phase_to_string (KcpPhase phase)
{
  if ((gsize) phase >= G_N_ELEMENTS (phase_names))
    return "unknown";

  return phase_names[phase];
}
