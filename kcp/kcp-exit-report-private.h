/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-exit-report.h"
#include "kcp-spawn-private.h"

G_BEGIN_DECLS

/* What its maker knows; texts are copied. */
typedef struct
{
  const char *plugin_name;
  int pid;
  KcpExitReason reason;
  KcpPhase phase;
  KcpExitStatus status;
  const char *ended_by;      /* the step of the stop that was reached; NULL: it was not stopped */
  guint calls_in_flight;
  char *hint;                /* taken; NULL: nothing to add */
  char *stderr_tail;         /* taken */
  char *stdout_tail;         /* taken */
} KcpExitFacts;

KcpExitReport *kcp_exit_report_new      (const KcpExitFacts *facts);

/* What a call in flight fails with. */
GError        *kcp_exit_report_to_error (KcpExitReport      *self);

G_END_DECLS
