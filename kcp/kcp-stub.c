/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stub-private.h"

#include "kcp-callback-handle-private.h"
#include "kcp-debug-private.h"
#include "kcp-error-private.h"
#include "kcp-plugin-loader-private.h"
#include "kcp-watchdog-private.h"

#include <errno.h>
#include <unistd.h>

/* The life of a child, from the environment to the exit status:
 *
 *   isolate → connect both sockets → watchdog → OPEN comes: open, check, configure, start
 *     → READY: calls are routed → GOODBYE comes: drain, stop, leave
 *
 * Each step is told to the host before it begins, so that a crash in it has a name. */

typedef struct
{
  KcpLink *link;
  KcpRouter *router;
  KcpCallbackHandle *handle;
  GMainLoop *loop;
  int status;

  char *actor_name;
  KcpPlugin plugin;
  gpointer self;            /* the plugin's own */
  gboolean opened;          /* an OPEN came */
  gboolean started;         /* `start` was successful, `stop` is due */
  gboolean describing;      /* it is neither configured nor started, and serves nothing */
  gboolean leaving;
  guint leave_source;
  guint grace_source;
} KcpStub;

/* ---- telling the host ---- */

static void
send_status (KcpStub      *self,
             KcpPhase      phase,
             JsonNode     *manifest,
             const GError *error)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (GBytes) body = NULL;

  json_object_set_string_member (object, "phase", kcp_phase_to_string (phase));
  if (manifest)
    json_object_set_member (object, "manifest", manifest);
  if (error)
    {
      g_autoptr (GBytes) encoded = kcp_codec_encode_error (error);

      json_object_set_object_member (object, "error", kcp_codec_decode_object ("ERROR", encoded, NULL));
    }

  body = kcp_codec_encode_object (object);
  kcp_link_send (self->link, KCP_SOCKET_REQUEST, KCP_FRAME_STATUS, body);
  /* What comes next may end this process. */
  kcp_link_flush (self->link, g_get_monotonic_time () + G_USEC_PER_SEC);
}

static void
leave (KcpStub *self,
       int      status)
{
  self->status = status;
  g_main_loop_quit (self->loop);
}

static void
fail_start (KcpStub      *self,
            KcpPhase      phase,
            const GError *error)
{
  send_status (self, phase, NULL, error);
  leave (self, 1);
}

/* ---- OPEN ---- */

static GLogLevelFlags
parse_level (const char *name)
{
  static const struct
  {
    const char *name;
    GLogLevelFlags level;
  } levels[] = {
    { "error", G_LOG_LEVEL_ERROR },     { "critical", G_LOG_LEVEL_CRITICAL }, { "warning", G_LOG_LEVEL_WARNING },
    { "message", G_LOG_LEVEL_MESSAGE }, { "info", G_LOG_LEVEL_INFO },         { "debug", G_LOG_LEVEL_DEBUG },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (g_str_equal (levels[i].name, name))
      return levels[i].level;

  return G_LOG_LEVEL_MESSAGE;
}

/* One [key, value] pair of the configuration. */
static gboolean
configure_one (KcpStub    *self,
               JsonNode   *pair,
               GError    **error)
{
  JsonArray *array = pair && JSON_NODE_HOLDS_ARRAY (pair) ? json_node_get_array (pair) : NULL;
  JsonNode *key = array && json_array_get_length (array) == 2 ? json_array_get_element (array, 0) : NULL;
  JsonNode *value = key ? json_array_get_element (array, 1) : NULL;

  if (value == NULL || !JSON_NODE_HOLDS_VALUE (key) || json_node_get_value_type (key) != G_TYPE_STRING ||
      !JSON_NODE_HOLDS_VALUE (value) || json_node_get_value_type (value) != G_TYPE_STRING)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL,
                           "OPEN frame: “config” is not a list of pairs of strings");
      return FALSE;
    }

  if (self->plugin.configure == NULL)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "unknown key “%s”: this plugin takes no configuration", json_node_get_string (key));
      return FALSE;
    }

  if (self->plugin.configure (json_node_get_string (key), json_node_get_string (value), error))
    return TRUE;

  if (error && *error == NULL)
    g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "the key “%s” was refused without a reason",
                 json_node_get_string (key));
  return FALSE;
}

static gboolean
start_plugin (KcpStub     *self,
              JsonObject  *open,
              GError     **error)
{
  JsonNode *config = json_object_get_member (open, "config");
  JsonArray *pairs = config && JSON_NODE_HOLDS_ARRAY (config) ? json_node_get_array (config) : NULL;

  for (guint i = 0; pairs && i < json_array_get_length (pairs); i++)
    if (!configure_one (self, json_array_get_element (pairs, i), error))
      return FALSE;

  if (self->plugin.start && !self->plugin.start (self->handle, &self->self, error))
    {
      if (error && *error == NULL)
        g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PLUGIN_START, "it gave no reason");
      return FALSE;
    }

  self->started = TRUE;
  return TRUE;
}

static gboolean
apply_settings (KcpStub     *self,
                JsonObject  *open,
                const char **plugin,
                GError     **error)
{
  const char *level = "message", *directory = NULL;
  gint64 call_timeout = 0, grace = 0, cores = 0, describe = 0;
  KcpResourceLimits limits;

  if (!kcp_codec_get_string (open, "plugin", plugin, error) ||
      !kcp_codec_get_string (open, "log_level", &level, error) ||
      !kcp_codec_get_string (open, "directory", &directory, error) ||
      !kcp_codec_get_int (open, "call_timeout_ms", 0, G_MAXINT32, &call_timeout, error) ||
      !kcp_codec_get_int (open, "grace_ms", 0, G_MAXINT32, &grace, error) ||
      !kcp_codec_get_int (open, "core_dumps", 0, 1, &cores, error) ||
      !kcp_codec_get_int (open, "describe", 0, 1, &describe, error) ||
      !kcp_resource_limits_decode (json_object_get_member (open, "limits"), &limits, error))
    {
      g_prefix_error (error, "OPEN frame: ");
      return FALSE;
    }

  if (*plugin == NULL)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "OPEN frame: no “plugin”");
      return FALSE;
    }

  self->describing = describe == 1;
  kcp_stub_log_set_level (parse_level (level));
  kcp_link_set_call_timeout (self->link, (int) call_timeout);
  if (json_object_has_member (open, "grace_ms"))
    kcp_watchdog_set_grace ((int) grace);
  if (cores)
    kcp_stub_allow_cores ();
  if (directory && chdir (directory) < 0)
    {
      int saved = errno;

      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "cannot change to the working directory %s: %s", directory, g_strerror (saved));
      return FALSE;
    }

  return kcp_stub_apply_limits (&limits, error);
}

static void
open_plugin (KcpStub *self,
             GBytes  *body)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) open = kcp_codec_decode_object ("OPEN", body, &error);
  const char *path = NULL;
  KcpPhase phase = KCP_PHASE_OPENING;
  gpointer module;

  if (open == NULL || !apply_settings (self, open, &path, &error))
    {
      fail_start (self, phase, error);
      return;
    }

  send_status (self, phase, NULL, NULL);
  module = kcp_plugin_open (path, &error);
  if (module)
    {
      phase = KCP_PHASE_SYMBOLS;
      send_status (self, phase, NULL, NULL);
    }
  if (module && kcp_plugin_check (module, path, &self->plugin, &error) &&
      kcp_plugin_route (&self->plugin, path, &self->self, self->router, &error) && !self->describing)
    {
      phase = KCP_PHASE_STARTING;
      send_status (self, phase, NULL, NULL);
      start_plugin (self, open, &error);
    }

  if (error)
    fail_start (self, phase, error);
  else if (!kcp_link_is_closed (self->link))
    send_status (self, KCP_PHASE_READY, kcp_plugin_describe (&self->plugin), NULL);
}

/* ---- GOODBYE ---- */

static gboolean
on_leave (gpointer data)
{
  KcpStub *self = data;

  self->leave_source = 0;
  leave (self, 0);
  return G_SOURCE_REMOVE;
}

/* In an idle: this may be called from inside the handler whose answer was the last. */
static void
leave_soon (KcpStub *self)
{
  if (self->leave_source == 0)
    self->leave_source = g_idle_add_full (G_PRIORITY_DEFAULT, on_leave, self, NULL);
}

static gboolean
on_grace_over (gpointer data)
{
  KcpStub *self = data;

  self->grace_source = 0;
  leave_soon (self);
  return G_SOURCE_REMOVE;
}

static gboolean
say_goodbye (KcpStub  *self,
             GBytes   *body,
             GError  **error)
{
  g_autoptr (JsonObject) goodbye = kcp_codec_decode_object ("GOODBYE", body, error);
  gint64 grace = 2000;

  if (goodbye == NULL || !kcp_codec_get_int (goodbye, "grace_ms", 0, G_MAXINT32, &grace, error))
    return FALSE;
  if (self->leaving)
    return TRUE;

  self->leaving = TRUE;

  if (kcp_link_count_invocations (self->link) == 0)
    leave_soon (self);
  else
    self->grace_source = g_timeout_add ((guint) grace, on_grace_over, self);
  return TRUE;
}

/* ---- what the link tells ---- */

static void
on_invoke (gpointer       owner,
           KcpInvocation *invocation)
{
  KcpStub *self = owner;

  if (self->describing)
    kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_STOPPING,
                                "the plugin was opened to be described, not to be called");
  else if (self->leaving && kcp_invocation_get_parent (invocation) == 0)
    kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_STOPPING, "the child is stopping");
  else
    kcp_router_route (self->router, invocation);
}

static void
on_frame (gpointer      owner,
          KcpFrameKind  kind,
          GBytes       *body)
{
  KcpStub *self = owner;
  g_autoptr (GError) error = NULL;

  if (kind == KCP_FRAME_GOODBYE)
    say_goodbye (self, body, &error);
  else if (kind == KCP_FRAME_OPEN && !self->opened)
    {
      self->opened = TRUE;
      open_plugin (self, body);
    }
  else
    g_set_error (&error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame, which has no place here",
                 kcp_frame_kind_to_string (kind));

  if (error)
    {
      g_printerr ("kcp-child: %s\n", error->message);
      kcp_link_close (self->link, error);
      leave (self, 1);
    }
}

/* The host is gone, or out of its mind: there is nobody to work for. */
static void
on_lost (gpointer      owner,
         const GError *error)
{
  KcpStub *self = owner;
  g_autoptr (GError) reason = error ? g_error_copy (error)
                                    : g_error_new_literal (KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                                                           "the host has closed the connection");

  if (error)
    g_printerr ("kcp-child: %s\n", error->message);
  else
    kcp_watchdog_host_is_gone ();
  kcp_link_close (self->link, reason);
  leave (self, error ? 1 : 0);
}

static void
on_drained (gpointer owner)
{
  KcpStub *self = owner;

  if (self->leaving)
    leave_soon (self);
}

static const KcpLinkOps link_ops = {
  .invoke = on_invoke,
  .frame = on_frame,
  .lost = on_lost,
  .drained = on_drained,
};

/* ---- main ---- */

static void
explain (void)
{
  g_printerr ("kcp-child runs a kcp plugin for the program that starts it, and is of no use by itself.\n"
              "To try a plugin from a shell: kcp-host PLUGIN\n");
}

static gboolean
connect_both (KcpStub             *self,
              KcpStubEnvironment  *environment,
              GError             **error)
{
  KcpLinkSocket request = { 0 }, callback = { 0 };
  g_autofree char *directory = g_path_get_dirname (environment->request_path);
  KcpTerms terms = { 0 };
  gboolean connected;

  connected = kcp_stub_connect (KCP_SOCKET_REQUEST, environment->request_path, environment->token,
                                &request, &terms, error) &&
              kcp_stub_connect (KCP_SOCKET_CALLBACK, environment->callback_path, environment->token,
                                &callback, &terms, error);
  if (connected)
    {
      kcp_watchdog_start (g_socket_get_fd (g_socket_connection_get_socket (request.connection)),
                          g_socket_get_fd (g_socket_connection_get_socket (callback.connection)), directory);
      self->link = kcp_link_new (KCP_LINK_CHILD, &request, &callback, &terms, &link_ops, self);
    }

  g_clear_object (&request.connection);
  g_clear_object (&callback.connection);
  g_clear_pointer (&request.reader, kcp_frame_reader_free);
  g_clear_pointer (&callback.reader, kcp_frame_reader_free);
  return connected;
}

static void
serve (KcpStub *self)
{
  g_autoptr (GError) reason = g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "the child is stopping");

  self->loop = g_main_loop_new (NULL, FALSE);
  self->router = kcp_router_new ();
  self->handle = kcp_callback_handle_new (self->link, self->actor_name);
  kcp_link_attach (self->link, NULL);
  kcp_stub_log_set_link (self->link);

  g_main_loop_run (self->loop);

  if (self->started && self->plugin.stop)
    self->plugin.stop (self->self);

  kcp_link_flush (self->link, g_get_monotonic_time () + G_USEC_PER_SEC);
  kcp_stub_log_set_link (NULL);
  kcp_link_close (self->link, reason);

  g_clear_handle_id (&self->leave_source, g_source_remove);
  g_clear_handle_id (&self->grace_source, g_source_remove);
  g_clear_object (&self->handle);
  g_clear_pointer (&self->router, kcp_router_free);
  g_clear_pointer (&self->link, kcp_link_unref);
  g_clear_pointer (&self->loop, g_main_loop_unref);
}

int
kcp_stub_main (int    argc,
               char **argv)
{
  g_auto (KcpStubEnvironment) environment = { NULL };
  g_autoptr (GError) error = NULL;
  KcpStub self = { .status = 0 };

  kcp_stub_isolate ();
  if (!kcp_stub_take_environment (&environment))
    {
      explain ();
      return 2;
    }

  kcp_stub_log_start ();
  self.actor_name = g_steal_pointer (&environment.actor_name);
  if (!connect_both (&self, &environment, &error))
    {
      g_printerr ("kcp-child: %s\n", error->message);
      g_free (self.actor_name);
      return 3;
    }
  kcp_stub_environment_clear (&environment);

  serve (&self);
  g_free (self.actor_name);
  return self.status;
}
