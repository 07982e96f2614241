/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* What of this process can be seen from outside, for the frame around each test. */
typedef struct _KcpTestState KcpTestState;

KcpTestState *kcp_test_state_new          (const char   *runtime,
                                           const char   *temporary);
void          kcp_test_state_free         (KcpTestState *self);
/* What @now has that @before had not, for people; NULL if there is nothing. */
char         *kcp_test_state_compare      (KcpTestState *before,
                                           KcpTestState *now);

/* Ends and reaps every child of this process, so that the next test begins clean. */
void          kcp_test_state_end_children (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpTestState, kcp_test_state_free)
