/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The smallest plugin there is: one path, which answers with what it was sent. Copy it, and see
 * kcp-plugin.h for what else a plugin may have. Outside of this source tree it is built with
 *
 *   cc -shared -fPIC -o echo.so echo.c $(pkg-config --cflags --libs kcp-1)
 */
#include <kcp-plugin.h>

static void
handle_echo (gpointer       self,
             KcpInvocation *invocation)
{
  GError *error = NULL;
  JsonNode *body = kcp_invocation_get_body (invocation, &error);

  /* What arrives is checked when it is read, so this is where a body that is no JSON shows. */
  if (body == NULL)
    {
      kcp_invocation_take_error (invocation, error);
      return;
    }

  /* The invocation keeps its body; the answer gets a reference of its own. */
  kcp_invocation_reply (invocation, json_node_ref (body));
}

static const KcpHandlerEntry handlers[] = {
  { "echo", "answers with the body it got", handle_echo },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "echo",
  .version = "1",
  .description = "Answers with what it was sent",
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
