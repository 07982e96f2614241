/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <kcp-plugin.h>

static void
hello (gpointer self, KcpInvocation *invocation)
{
  kcp_invocation_reply (invocation, json_node_init_string (json_node_alloc (), "Hello from a process of my own"));
}

static const KcpHandlerEntry handlers[] = {
  { "hello", "greets", hello },
  { NULL, NULL, NULL },
};
static KcpPlugin plugin = { .name = "hello", .handlers = handlers };

KCP_DEFINE_PLUGIN (plugin)
