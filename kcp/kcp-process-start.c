/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-process-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error-private.h"
#include "kcp-manifest-private.h"

/* From a plan to a child that takes calls:
 *
 *   rendezvous (two sockets) → spawn → both joined → OPEN → STATUS, STATUS, … ready
 *
 * The start's deadline, its cancellable and the child's exit are watched all the time; whichever
 * comes first tells the caller, the rest find it told. */

static void
set_phase (KcpProcess *self,
           KcpPhase    phase)
{
  if (phase <= self->phase)
    return;

  self->phase = phase;
  KCP_DEBUG (KCP_DEBUG_CHILD, "child “%s”: %s", self->plan->name, kcp_phase_to_string (phase));
  if (self->started && self->on_phase)
    self->on_phase (self, phase, self->start_data);
}

void
kcp_process_end_start (KcpProcess   *self,
                       const GError *error)
{
  KcpProcessStarted started = g_steal_pointer (&self->started);

  if (started == NULL)
    return;

  kcp_process_clear_source (&self->start_timer);
  kcp_process_clear_source (&self->cancel_source);
  g_clear_object (&self->cancellable);
  started (self, error, self->start_data);
}

void
kcp_process_fail_start (KcpProcess *self,
                        GError     *error)
{
  kcp_process_ref (self);
  kcp_process_kill (self);
  kcp_process_end_start (self, error);
  g_error_free (error);
  kcp_process_unref (self);
}

/* ---- STATUS ---- */

static gboolean
parse_phase (const char *name,
             KcpPhase   *phase)
{
  for (int i = KCP_PHASE_OPENING; i <= KCP_PHASE_READY; i++)
    if (g_strcmp0 (name, kcp_phase_to_string ((KcpPhase) i)) == 0)
      {
        *phase = (KcpPhase) i;
        return TRUE;
      }

  return FALSE;
}

/* What the child says went wrong. Its own codes are believed for what it may judge: the loading
 * of its plugin. Anything else is what configure or start returned, kept word for word. */
static GError *
decode_failure (KcpProcess  *self,
                KcpPhase     phase,
                JsonObject  *failure,
                GError     **protocol_error)
{
  const char *domain = "", *code = NULL, *message = "";
  gint64 number = 0;
  JsonNode *node = json_object_get_member (failure, "code");
  KcpError ours;
  GError *error;

  if (!kcp_codec_get_string (failure, "domain", &domain, protocol_error) ||
      !kcp_codec_get_string (failure, "message", &message, protocol_error))
    return NULL;
  if (node && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING)
    code = json_node_get_string (node);
  else if (!kcp_codec_get_int (failure, "code", G_MININT32, G_MAXINT32, &number, protocol_error))
    return NULL;

  if (code && g_str_equal (domain, KCP_ERROR_WIRE_DOMAIN) && kcp_error_from_string (code, &ours))
    {
      number = ours;
      if (ours == KCP_ERROR_PLUGIN_LOAD || ours == KCP_ERROR_PLUGIN_ABI ||
          (phase < KCP_PHASE_STARTING && (ours == KCP_ERROR_INVALID_ARGUMENT || ours == KCP_ERROR_PROTOCOL)))
        return g_error_new (KCP_ERROR, (int) ours, "start phase “%s”: %s", kcp_phase_to_string (phase), message);
    }

  error = kcp_error_new_with_remote (KCP_ERROR_PLUGIN_START, message, domain, (int) number, message);
  g_prefix_error (&error, "plugin “%s” did not start: ", self->plan->name);
  return error;
}

static void
become_ready (KcpProcess  *self,
              JsonObject  *status,
              GError     **error)
{
  JsonNode *node = json_object_get_member (status, "manifest");
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;

  if (object == NULL)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "no manifest");
      return;
    }

  self->manifest = kcp_manifest_decode (object, error);
  if (self->manifest == NULL)
    return;

  set_phase (self, KCP_PHASE_READY);
  kcp_process_raise_state (self, KCP_ACTOR_READY);
  kcp_process_end_start (self, NULL);
}

/* FALSE with KCP_ERROR_PROTOCOL. */
static gboolean
read_status (KcpProcess  *self,
             JsonObject  *status,
             GError     **error)
{
  JsonNode *failure = json_object_get_member (status, "error");
  const char *name = NULL;
  GError *told = NULL;
  KcpPhase phase;

  if (!kcp_codec_get_string (status, "phase", &name, error))
    return FALSE;
  if (!parse_phase (name, &phase) || phase < self->phase || self->phase == KCP_PHASE_READY)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "the phase is unknown, or behind the last one");
      return FALSE;
    }

  if (failure && !JSON_NODE_HOLDS_OBJECT (failure))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“error” is not an object");
      return FALSE;
    }
  if (failure)
    {
      told = decode_failure (self, phase, json_node_get_object (failure), error);
      if (told)
        kcp_process_fail_start (self, told);
      return told != NULL;
    }

  if (phase < KCP_PHASE_READY)
    {
      set_phase (self, phase);
      return TRUE;
    }

  become_ready (self, status, &told);
  if (told == NULL)
    return TRUE;
  g_propagate_error (error, told);
  return FALSE;
}

void
kcp_process_take_status (KcpProcess *self,
                         GBytes     *body)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) status = NULL;

  /* After a failed start it may go on talking until it is gone; and what was still on the way when
   * it was killed for the failure must not make a success of it. */
  if (self->step != KCP_STOP_NONE || (self->started == NULL && self->phase < KCP_PHASE_READY))
    return;

  status = kcp_codec_decode_object ("STATUS", body, &error);
  if (status == NULL || !read_status (self, status, &error))
    {
      g_prefix_error (&error, "STATUS frame: ");
      kcp_process_link_ops.lost (self, error);
    }
}

/* ---- OPEN ---- */

static const char *
level_name (GLogLevelFlags level)
{
  if (level & (G_LOG_LEVEL_ERROR))
    return "error";
  if (level & G_LOG_LEVEL_CRITICAL)
    return "critical";
  if (level & G_LOG_LEVEL_WARNING)
    return "warning";
  if (level & G_LOG_LEVEL_INFO)
    return "info";
  if (level & G_LOG_LEVEL_DEBUG)
    return "debug";

  return "message";
}

static void
send_open (KcpProcess *self,
           gsize       frame_limit)
{
  const KcpLaunchPlan *plan = self->plan;
  g_autoptr (JsonObject) open = json_object_new ();
  JsonArray *config = json_array_new ();
  JsonObject *limits = kcp_resource_limits_encode (&plan->limits);
  g_autoptr (GBytes) body = NULL;

  for (guint i = 0; i + 1 < plan->config->len; i += 2)
    {
      JsonArray *pair = json_array_new ();

      json_array_add_string_element (pair, plan->config->pdata[i]);
      json_array_add_string_element (pair, plan->config->pdata[i + 1]);
      json_array_add_array_element (config, pair);
    }

  json_object_set_string_member (open, "plugin", plan->plugin);
  json_object_set_string_member (open, "log_level", level_name (plan->log_level));
  json_object_set_array_member (open, "config", config);
  json_object_set_int_member (open, "call_timeout_ms", plan->call_timeout);
  json_object_set_int_member (open, "grace_ms", plan->drain_timeout);
  json_object_set_int_member (open, "core_dumps",
                              kcp_resource_limits_allow_cores (&plan->limits) ? 1 : 0);
  if (limits)
    json_object_set_object_member (open, "limits", limits);
  if (plan->describe_only)
    json_object_set_int_member (open, "describe", 1);
  if (plan->directory)
    json_object_set_string_member (open, "directory", plan->directory);

  body = kcp_codec_encode_object (open);
  if (g_bytes_get_size (body) <= frame_limit)
    kcp_link_send (self->link, KCP_SOCKET_REQUEST, KCP_FRAME_OPEN, body);
  else
    kcp_process_fail_start (self, g_error_new (KCP_ERROR, KCP_ERROR_TOO_LARGE,
                                               "child “%s”: with its configuration the OPEN message has %"
                                               G_GSIZE_FORMAT " bytes, the limit is %" G_GSIZE_FORMAT,
                                               plan->name, g_bytes_get_size (body), frame_limit));
}

/* ---- the rendezvous ---- */

static void
on_joined (gpointer        owner,
           KcpLinkSocket  *request,
           KcpLinkSocket  *callback,
           const KcpTerms *terms)
{
  KcpProcess *self = owner;
  const KcpLinkLimits limits = {
    self->plan->max_in_flight, self->plan->mailbox_calls, self->plan->mailbox_bytes,
  };
  gsize frame_limit = terms->frame_limit;   /* @terms goes with the rendezvous */

  self->link = kcp_link_new (KCP_LINK_HOST, request, callback, terms, &kcp_process_link_ops, self);
  kcp_link_set_call_timeout (self->link, self->plan->call_timeout);
  kcp_link_set_limits (self->link, &limits);
  kcp_link_attach (self->link, self->context);
  kcp_process_watch_in_waits (self);
  g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);

  set_phase (self, KCP_PHASE_OPENING);
  send_open (self, frame_limit);
}

static void
on_connected (gpointer owner)
{
  set_phase (owner, KCP_PHASE_HANDSHAKE);
}

static void
on_failed (gpointer      owner,
           const GError *error)
{
  KcpProcess *self = owner;
  GError *copy = g_error_copy (error);

  g_prefix_error (&copy, "child “%s” (pid %d), handshake: ", self->plan->name, self->spawned.pid);
  g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);
  kcp_process_fail_start (self, copy);
}

static const KcpRendezvousOps rendezvous_ops = {
  .joined = on_joined,
  .failed = on_failed,
  .connected = on_connected,
};

/* ---- deadline, cancellable, errors before there is a child ---- */

static gboolean
on_start_timeout (gpointer data)
{
  KcpProcess *self = data;
  const char *missing;
  KcpError code = KCP_ERROR_HANDSHAKE_TIMED_OUT;

  /* What has arrived while this program was busy counts. */
  kcp_process_ref (self);
  if (self->link)
    kcp_link_drain (self->link);

  if (self->rendezvous)
    missing = kcp_rendezvous_get_missing (self->rendezvous);
  else if (self->phase == KCP_PHASE_STARTING)
    missing = "its “configure” and “start” have not returned";
  else
    missing = "the plugin file is still being opened";

  if (self->started)
    kcp_process_fail_start (self, g_error_new (KCP_ERROR, (int) code,
                                               "child “%s” (pid %d) was not ready within %d ms: %s (start phase “%s”)",
                                               self->plan->name, self->spawned.pid, self->plan->start_timeout,
                                               missing, kcp_phase_to_string (self->phase)));
  kcp_process_unref (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      data)
{
  KcpProcess *self = data;

  kcp_process_fail_start (self, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                             "the start of child “%s” was cancelled", self->plan->name));
  return G_SOURCE_REMOVE;
}

static gboolean
on_start_error (gpointer data)
{
  KcpProcess *self = data;

  kcp_process_end_start (self, self->start_error);
  return G_SOURCE_REMOVE;
}

static void
free_process (gpointer data)
{
  kcp_process_unref (data);
}

/* Nothing was started; the caller is told from the main loop, as always. Takes a reference. */
static void
fail_later (KcpProcess *self,
            GError     *error)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  self->start_error = error;
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_start_error, kcp_process_ref (self), free_process);
  g_source_attach (source, self->context);
}

static gboolean
spawn (KcpProcess  *self,
       GError     **error)
{
  const KcpTerms offer = {
    .frame_limit = self->plan->frame_limit,
    .our_items = self->plan->stream_items,
    .our_bytes = self->plan->stream_bytes,
  };

  self->directory = kcp_socket_directory_get (error);
  if (self->directory)
    self->rendezvous = kcp_rendezvous_new (&offer, &rendezvous_ops, self, error);
  if (self->rendezvous == NULL ||
      !kcp_spawn (self->plan, kcp_rendezvous_get_path (self->rendezvous, KCP_SOCKET_REQUEST),
                  kcp_rendezvous_get_path (self->rendezvous, KCP_SOCKET_CALLBACK),
                  kcp_rendezvous_get_token (self->rendezvous), &self->spawned, error))
    {
      g_clear_pointer (&self->rendezvous, kcp_rendezvous_free);
      return FALSE;
    }

  self->out = kcp_output_new (self->spawned.stdout_fd, kcp_process_log_stdout, self);
  self->err = kcp_output_new (self->spawned.stderr_fd, kcp_process_log_stderr, self);
  kcp_output_attach (self->out, self->context);
  kcp_output_attach (self->err, self->context);
  kcp_process_watch_exit (self);
  return TRUE;
}

void
kcp_process_start (KcpLaunchPlan     *plan,
                   GMainContext      *context,
                   GCancellable      *cancellable,
                   KcpProcessPhase    phase,
                   KcpProcessStarted  started,
                   gpointer           data)
{
  KcpProcess *self = g_new0 (KcpProcess, 1);
  GError *error = NULL;

  g_atomic_ref_count_init (&self->ref_count);
  g_weak_ref_init (&self->observed, NULL);
  self->plan = plan;
  self->context = g_main_context_ref (context);
  self->responsive = TRUE;
  self->spawned = (KcpSpawned) { .pid_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
  self->exit_tasks = g_ptr_array_new_with_free_func (g_object_unref);
  self->started = started;
  self->on_phase = phase;
  self->start_data = data;

  if (g_cancellable_set_error_if_cancelled (cancellable, &error) || !spawn (self, &error))
    {
      fail_later (self, error);
      kcp_process_unref (self);
      return;
    }

  set_phase (self, KCP_PHASE_CONNECTING);
  kcp_rendezvous_attach (self->rendezvous, plan->wrapper ? 0 : self->spawned.pid, context);
  if (plan->start_timeout > 0)
    self->start_timer = kcp_process_add_timeout (self, plan->start_timeout, on_start_timeout);
  if (cancellable)
    {
      self->cancellable = g_object_ref (cancellable);
      self->cancel_source = g_cancellable_source_new (cancellable);
      g_source_set_callback (self->cancel_source, G_SOURCE_FUNC (on_cancelled), self, NULL);
      g_source_attach (self->cancel_source, context);
    }
  /* From here on the running child holds it. */
  kcp_process_unref (self);
}
