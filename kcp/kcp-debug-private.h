/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What the environment variable KCP_DEBUG names: a list such as "frame,child", or "all". */
typedef enum
{
  KCP_DEBUG_FRAME = 1 << 0,   /* every frame, as <<< or >>> with kind, id and sizes */
  KCP_DEBUG_CALL = 1 << 1,    /* calls: start, end, outcome */
  KCP_DEBUG_CHILD = 1 << 2,   /* processes: spawn, phases, signals, exit */
} KcpDebugFlags;

gboolean kcp_debug_enabled (KcpDebugFlags flag);

/* Prints to stderr, whatever the log level. Call only after kcp_debug_enabled(). */
void     kcp_debug_print   (KcpDebugFlags  flag,
                            const char    *format,
                            ...) G_GNUC_PRINTF (2, 3);

#define KCP_DEBUG(flag, ...)                     \
  G_STMT_START                                   \
  {                                              \
    if (G_UNLIKELY (kcp_debug_enabled (flag)))   \
      kcp_debug_print (flag, __VA_ARGS__);       \
  }                                              \
  G_STMT_END

G_END_DECLS
