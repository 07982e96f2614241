/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_EXIT_REPORT (kcp_exit_report_get_type ())

/**
 * KcpExitReason:
 * @KCP_EXIT_STOPPED: it was asked to stop and did so by itself
 * @KCP_EXIT_KILLED: the host ended it with a signal
 * @KCP_EXIT_EXITED: it ended by itself with an exit code
 * @KCP_EXIT_CRASHED: a signal that the host did not send ended it
 * @KCP_EXIT_FAILED: its start failed
 *
 * Why a child is gone.
 */
typedef enum
{
  KCP_EXIT_STOPPED,
  KCP_EXIT_KILLED,
  KCP_EXIT_EXITED,
  KCP_EXIT_CRASHED,
  KCP_EXIT_FAILED,
} KcpExitReason;

KCP_AVAILABLE_IN_ALL
GType          kcp_exit_report_get_type            (void);
KCP_AVAILABLE_IN_ALL
KcpExitReport *kcp_exit_report_ref                 (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
void           kcp_exit_report_unref               (KcpExitReport *self);

KCP_AVAILABLE_IN_ALL
KcpExitReason  kcp_exit_report_get_reason          (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
KcpPhase       kcp_exit_report_get_phase           (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
int            kcp_exit_report_get_exit_code       (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
int            kcp_exit_report_get_signal          (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_exit_report_get_signal_name     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
gboolean       kcp_exit_report_get_core_dumped     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
guint          kcp_exit_report_get_calls_in_flight (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
gint64         kcp_exit_report_get_user_time       (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
gint64         kcp_exit_report_get_system_time     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
gint64         kcp_exit_report_get_peak_memory     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_exit_report_get_stderr_tail     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_exit_report_get_stdout_tail     (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_exit_report_get_hint            (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
const char    *kcp_exit_report_get_summary         (KcpExitReport *self);
KCP_AVAILABLE_IN_ALL
JsonNode      *kcp_exit_report_to_json             (KcpExitReport *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpExitReport, kcp_exit_report_unref)

G_END_DECLS
