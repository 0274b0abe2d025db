//! What a site does next: from the workloads that it is to run and what there is, to the next actions.
