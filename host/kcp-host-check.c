/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-verbs.h"

#include <glib/gi18n.h>

/* kcp-host PLUGIN check
 *
 * A phase is over when the next one begins: a line is printed then, so that the last line of a
 * start that fails names the phase in which it did. */
typedef struct
{
  HostSession *session;
  KcpPhase phase;          /* the one going on */
  gboolean in_phase;
  gint64 since;
} Check;

static const char *
phase_title (KcpPhase phase)
{
  /* Translators: these say what a phase is about, beside its name */
  switch (phase)
    {
    case KCP_PHASE_SPAWNING:
      return _("the child's process");
    case KCP_PHASE_CONNECTING:
      return _("its two sockets");
    case KCP_PHASE_HANDSHAKE:
      return _("protocol version and identity");
    case KCP_PHASE_OPENING:
      return _("the file and the libraries it needs");
    case KCP_PHASE_SYMBOLS:
      return _("entry point and table of paths");
    case KCP_PHASE_STARTING:
      return _("configuration and start");
    case KCP_PHASE_STOPPING:
      return _("calls drained, plugin stopped");
    case KCP_PHASE_READY:
    default:
      return "";
    }
}

static guint
widest_title (void)
{
  guint widest = 0;

  for (int phase = KCP_PHASE_SPAWNING; phase <= KCP_PHASE_STOPPING; phase++)
    widest = MAX (widest, host_text_width (phase_title (phase)));

  return widest;
}

/* The name is not translated: it is what errors and reports call the phase. */
static void
print_phase (Check      *self,
             const char *about,
             HostPaint   paint,
             const char *outcome)
{
  const HostStyle *style = &self->session->out;
  int blanks = (int) (widest_title () - host_text_width (about));

  g_print ("%s%-10s%s  %s", host_style_start (style, HOST_PAINT_STRONG), kcp_phase_to_string (self->phase),
           host_style_end (style), about);
  if (outcome)
    g_print ("%*s  %s%s%s", MAX (blanks, 0), "", host_style_start (style, paint), outcome,
             host_style_end (style));
  g_print ("\n");
}

static void
leave_phase (Check    *self,
             gboolean  passed)
{
  g_autofree char *outcome = NULL;

  if (!self->in_phase)
    return;

  self->in_phase = FALSE;
  if (passed)
    /* Translators: a phase that passed, and the milliseconds it took */
    outcome = g_strdup_printf (_("ok  %6.1f ms"), (double) (g_get_monotonic_time () - self->since) / 1000.0);
  print_phase (self, phase_title (self->phase), passed ? HOST_PAINT_GOOD : HOST_PAINT_BAD,
               passed ? outcome : _("failed"));
}

static void
enter_phase (Check    *self,
             KcpPhase  phase)
{
  if (self->in_phase && self->phase == phase)
    return;

  leave_phase (self, TRUE);
  self->phase = phase;
  self->in_phase = TRUE;
  self->since = g_get_monotonic_time ();
}

static void
phase_reached (KcpLauncher *launcher,
               const char  *name,
               KcpPhase     phase,
               gpointer     user_data)
{
  Check *self = user_data;

  if (phase < KCP_PHASE_READY)
    enter_phase (self, phase);
}

static gboolean
prepare (HostSession  *session,
         char        **args,
         GError      **error)
{
  Check *self;

  if (args[0])
    {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _("“check” takes no “%s”"), args[0]);
      return FALSE;
    }

  self = g_new0 (Check, 1);
  self->session = session;
  session->data = self;
  g_signal_connect (session->launcher, "phase", G_CALLBACK (phase_reached), self);
  enter_phase (self, KCP_PHASE_SPAWNING);
  return TRUE;
}

static void
ready (HostSession *session)
{
  Check *self = session->data;
  KcpManifest *manifest = kcp_actor_get_manifest (session->actor);
  g_autofree char *name = host_text_clean (kcp_manifest_get_name (manifest));
  const char *version = kcp_manifest_get_version (manifest);
  g_autofree char *clean = host_text_clean (version ? version : "");
  g_autofree char *title = g_strdup_printf ("%s%s%s", name, *clean ? " " : "", clean);

  leave_phase (self, TRUE);
  self->phase = KCP_PHASE_READY;
  print_phase (self, title, HOST_PAINT_GOOD, NULL);

  enter_phase (self, KCP_PHASE_STOPPING);
  host_session_finish (session, HOST_EXIT_OK);
}

static void
failed (HostSession *session)
{
  leave_phase (session->data, FALSE);
}

static void
stopped (HostSession   *session,
         KcpExitReport *report)
{
  Check *self = session->data;
  const HostStyle *style = &session->out;
  gboolean fine = kcp_exit_report_get_reason (report) == KCP_EXIT_STOPPED;

  leave_phase (self, fine);
  if (!fine)
    {
      if (!session->death_told)
        host_complain_death (report);
      session->exit_status = HOST_EXIT_CHILD_DIED;
    }
  else if (session->exit_status == HOST_EXIT_OK)
    g_print ("%s%s%s\n", host_style_start (style, HOST_PAINT_GOOD), "ok", host_style_end (style));
}

const HostVerb host_verb_check = {
  .name = "check",
  .usage = "check",
  .prepare = prepare,
  .ready = ready,
  .failed = failed,
  .stopped = stopped,
  .free = g_free,
};
