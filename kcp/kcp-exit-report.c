/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-exit-report-private.h"

#include "kcp-error.h"

#include <string.h>

struct _KcpExitReport
{
  gatomicrefcount ref_count;
  KcpExitFacts facts;
  char *name;
  char *signal_name;
  char *summary;
};

/**
 * KcpExitReport:
 *
 * How a child ended, as far as it can be known. Immutable; may be used from any thread.
 */
G_DEFINE_BOXED_TYPE (KcpExitReport, kcp_exit_report, kcp_exit_report_ref, kcp_exit_report_unref)

static char *
name_signal (int number)
{
  const char *abbreviation = sigabbrev_np (number);

  return abbreviation ? g_strdup_printf ("SIG%s", abbreviation) : g_strdup_printf ("signal %d", number);
}

static void
append_ending (GString             *text,
               const KcpExitReport *self)
{
  const KcpExitFacts *facts = &self->facts;

  if (facts->status.unknown)
    g_string_append (text, "is gone, and this program has thrown away how it ended (waitpid (-1)?)");
  else if (facts->status.signalled)
    {
      const char *description = sigdescr_np (facts->status.number);

      g_string_append_printf (text, "%s %s (%s%s)",
                              facts->reason == KCP_EXIT_CRASHED ? "crashed with" : "ended with",
                              self->signal_name, description ? description : "unknown",
                              facts->status.core_dumped ? ", core dumped" : "");
    }
  else
    g_string_append_printf (text, "exited with code %d", facts->status.number);
}

static char *
summarise (const KcpExitReport *self)
{
  const KcpExitFacts *facts = &self->facts;
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "child “%s” (pid %d) ", self->name, facts->pid);
  append_ending (text, self);

  if (facts->ended_by)
    g_string_append_printf (text, ", stopped by %s", facts->ended_by);
  else if (facts->phase < KCP_PHASE_READY)
    g_string_append_printf (text, " in the start phase “%s”", kcp_phase_to_string (facts->phase));

  if (facts->calls_in_flight > 0)
    g_string_append_printf (text, ", %u call%s in flight", facts->calls_in_flight,
                            facts->calls_in_flight == 1 ? "" : "s");
  if (facts->hint)
    g_string_append_printf (text, "; %s", facts->hint);

  return g_string_free (text, FALSE);
}

KcpExitReport *
kcp_exit_report_new (const KcpExitFacts *facts)
{
  KcpExitReport *self = g_new0 (KcpExitReport, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->facts = *facts;
  self->name = g_strdup (facts->plugin_name);
  self->facts.plugin_name = self->name;
  if (facts->status.signalled)
    self->signal_name = name_signal (facts->status.number);
  self->summary = summarise (self);
  return self;
}

/**
 * kcp_exit_report_ref:
 * @self: a report
 *
 * Returns: (transfer full): @self with one more reference
 */
KcpExitReport *
kcp_exit_report_ref (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/**
 * kcp_exit_report_unref:
 * @self: (transfer full): a report
 *
 * Drops one reference.
 */
void
kcp_exit_report_unref (KcpExitReport *self)
{
  g_return_if_fail (self != NULL);

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_free (self->facts.stderr_tail);
  g_free (self->facts.stdout_tail);
  g_free (self->facts.hint);
  g_free (self->name);
  g_free (self->signal_name);
  g_free (self->summary);
  g_free (self);
}

GError *
kcp_exit_report_to_error (KcpExitReport *self)
{
  KcpError code;

  switch (self->facts.reason)
    {
    case KCP_EXIT_CRASHED:
      code = KCP_ERROR_CHILD_CRASHED;
      break;
    case KCP_EXIT_STOPPED:
    case KCP_EXIT_KILLED:
      code = KCP_ERROR_STOPPING;
      break;
    case KCP_EXIT_EXITED:
    case KCP_EXIT_FAILED:
    default:
      code = KCP_ERROR_CHILD_EXITED;
      break;
    }

  return g_error_new_literal (KCP_ERROR, (int) code, self->summary);
}

/**
 * kcp_exit_report_get_reason:
 * @self: a report
 *
 * Returns: why it ended
 */
KcpExitReason
kcp_exit_report_get_reason (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, KCP_EXIT_EXITED);

  return self->facts.reason;
}

/**
 * kcp_exit_report_get_phase:
 * @self: a report
 *
 * Returns: how far it had come
 */
KcpPhase
kcp_exit_report_get_phase (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, KCP_PHASE_SPAWNING);

  return self->facts.phase;
}

/**
 * kcp_exit_report_get_exit_code:
 * @self: a report
 *
 * Returns: the exit code, or -1 if a signal ended it
 */
int
kcp_exit_report_get_exit_code (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, -1);

  return self->facts.status.signalled ? -1 : self->facts.status.number;
}

/**
 * kcp_exit_report_get_signal:
 * @self: a report
 *
 * Returns: the number of the signal that ended it, or 0
 */
int
kcp_exit_report_get_signal (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->facts.status.signalled ? self->facts.status.number : 0;
}

/**
 * kcp_exit_report_get_signal_name:
 * @self: a report
 *
 * Returns: (nullable) (transfer none): the name of the signal that ended it, such as "SIGSEGV"
 */
const char *
kcp_exit_report_get_signal_name (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->signal_name;
}

/**
 * kcp_exit_report_get_core_dumped:
 * @self: a report
 *
 * Returns: whether it left a core dump
 */
gboolean
kcp_exit_report_get_core_dumped (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return self->facts.status.core_dumped;
}

/**
 * kcp_exit_report_get_calls_in_flight:
 * @self: a report
 *
 * Returns: how many calls it left unanswered
 */
guint
kcp_exit_report_get_calls_in_flight (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->facts.calls_in_flight;
}

/**
 * kcp_exit_report_get_user_time:
 * @self: a report
 *
 * Returns: its CPU time in user mode, in microseconds
 */
gint64
kcp_exit_report_get_user_time (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->facts.status.user_us;
}

/**
 * kcp_exit_report_get_system_time:
 * @self: a report
 *
 * Returns: its CPU time in the kernel, in microseconds
 */
gint64
kcp_exit_report_get_system_time (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->facts.status.system_us;
}

/**
 * kcp_exit_report_get_peak_memory:
 * @self: a report
 *
 * Returns: the most memory it ever had resident, in bytes
 */
gint64
kcp_exit_report_get_peak_memory (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, 0);

  return self->facts.status.peak_bytes;
}

/**
 * kcp_exit_report_get_stderr_tail:
 * @self: a report
 *
 * Returns: (transfer none): the last of what it printed on stderr, at most 64 KiB
 */
const char *
kcp_exit_report_get_stderr_tail (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->facts.stderr_tail;
}

/**
 * kcp_exit_report_get_stdout_tail:
 * @self: a report
 *
 * Returns: (transfer none): the last of what it printed on stdout, at most 64 KiB
 */
const char *
kcp_exit_report_get_stdout_tail (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->facts.stdout_tail;
}

/**
 * kcp_exit_report_get_hint:
 * @self: a report
 *
 * What seems to be behind the end, where something is known: a resource limit that it has run
 * into (see kcp_launcher_set_resource_limit()), or a SIGKILL that this program has not sent. It is
 * part of the summary, too.
 *
 * Returns: (transfer none) (nullable): a line of text, or %NULL
 */
const char *
kcp_exit_report_get_hint (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->facts.hint;
}

/**
 * kcp_exit_report_get_summary:
 * @self: a report
 *
 * Returns: (transfer none): all of it in one line, which is also the text of the errors of the
 *   calls it left unanswered
 */
const char *
kcp_exit_report_get_summary (KcpExitReport *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->summary;
}

/**
 * kcp_exit_report_to_json:
 * @self: a report
 *
 * Returns: (transfer full): the report as a JSON object
 */
JsonNode *
kcp_exit_report_to_json (KcpExitReport *self)
{
  static const char *const reasons[] = {
    [KCP_EXIT_STOPPED] = "stopped", [KCP_EXIT_KILLED] = "killed", [KCP_EXIT_EXITED] = "exited",
    [KCP_EXIT_CRASHED] = "crashed", [KCP_EXIT_FAILED] = "failed",
  };
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  const KcpExitFacts *facts;

  g_return_val_if_fail (self != NULL, NULL);

  facts = &self->facts;
  json_object_set_string_member (object, "summary", self->summary);
  json_object_set_string_member (object, "reason", reasons[facts->reason]);
  json_object_set_string_member (object, "phase", kcp_phase_to_string (facts->phase));
  json_object_set_int_member (object, "pid", facts->pid);
  if (facts->status.signalled)
    json_object_set_string_member (object, "signal", self->signal_name);
  else
    json_object_set_int_member (object, "exit_code", facts->status.number);
  json_object_set_boolean_member (object, "core_dumped", facts->status.core_dumped);
  json_object_set_int_member (object, "calls_in_flight", facts->calls_in_flight);
  if (facts->hint)
    json_object_set_string_member (object, "hint", facts->hint);
  json_object_set_int_member (object, "user_us", facts->status.user_us);
  json_object_set_int_member (object, "system_us", facts->status.system_us);
  json_object_set_int_member (object, "peak_bytes", facts->status.peak_bytes);
  json_object_set_string_member (object, "stderr", facts->stderr_tail);
  json_object_set_string_member (object, "stdout", facts->stdout_tail);

  json_node_take_object (node, object);
  return node;
}
