/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <kcp-plugin.h>

/* One function for all paths. */
static void
greet (gpointer       self,
       KcpInvocation *invocation)
{
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (),
                                                           kcp_invocation_get_path (invocation)));
}

static KcpPlugin plugin = { .name = "greeter", .handle = greet };

KCP_DEFINE_PLUGIN (plugin)
