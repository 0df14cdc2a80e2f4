//! What a Pacemaker cluster says about its nodes: pure, without any input or output.
