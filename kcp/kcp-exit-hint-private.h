/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-resource-limits-private.h"
#include "kcp-spawn-private.h"

G_BEGIN_DECLS

/* What seems to be behind the end of a child; NULL: nothing is known. @killed: this program has
 * sent it a signal. */
char *kcp_exit_hint (const KcpExitStatus     *status,
                     const KcpResourceLimits *limits,
                     gboolean                 killed,
                     const char              *stderr_tail);

G_END_DECLS
