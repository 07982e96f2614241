/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp-plugin.h>

/* Linked with a library that is not where anyone looks for it. */
int kcp_test_absent_function (void);

static void
handle (gpointer       self,
        KcpInvocation *invocation)
{
  kcp_test_absent_function ();
}

static KcpPlugin plugin = { .name = "absent-library", .handle = handle };

KCP_DEFINE_PLUGIN (plugin)
