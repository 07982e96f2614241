/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp-plugin.h>

/* Nobody defines what the handler calls. */
void kcp_test_nobody_defines_this (void);

static void
handle (gpointer       self,
        KcpInvocation *invocation)
{
  kcp_test_nobody_defines_this ();
}

static KcpPlugin plugin = { .name = "undefined-symbol", .handle = handle };

KCP_DEFINE_PLUGIN (plugin)
