/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a plugin's author writes first, for the compilers that authors have: C17 and pedantic, with no
 * header but ours. tests/check-headers.py builds it and asks it. */
#include <kcp-plugin.h>

static gboolean
header_configure (const char  *key,
                  const char  *value,
                  GError     **error)
{
  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "no key “%s”, so not “%s” either", key, value);
  return FALSE;
}

static gboolean
header_start (KcpCallbackHandle  *host,
              gpointer           *self,
              GError            **error)
{
  (void) error;
  *self = g_strdup (kcp_callback_handle_get_actor_name (host));
  return TRUE;
}

static void
header_stop (gpointer self)
{
  g_free (self);
}

static void
handle_language (gpointer       self,
                 KcpInvocation *invocation)
{
  JsonNode *answer = json_node_new (JSON_NODE_VALUE);

  (void) self;
  json_node_set_string (answer, "C");
  kcp_invocation_reply (invocation, answer);
}

static const KcpHandlerEntry handlers[] = {
  { "language", "what it is written in", handle_language },
  { NULL, NULL, NULL },
};

static KcpPlugin plugin = {
  .name = "header",
  .configure = header_configure,
  .start = header_start,
  .stop = header_stop,
  .handlers = handlers,
};

KCP_DEFINE_PLUGIN (plugin)
