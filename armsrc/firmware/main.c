/* Runs the network once. */
#include "network.h"

int main(void)
{
    network_run();
    return 0;
}
